// Package replay is the corridor that tells a named range of the past again, on
// subjects of its own. It imports presence and package past, and declares what it
// needs of the ledger and of the stream.
//
//	           ┌───────── weather: wait, then from the top ──────────┐
//	           ↓                                                     │
//	end of its stream ─→ place ─→ [ledger ─→ pages] ─→ pace ─→ tell ─┴→ its row
//
// The pages are read and written ahead in a goroutine of their own, while the one
// before is told.
//
// The invariants:
//
//   - A replay is a row of messages that follows from what is stored and from its
//     choice alone: the states of users by their number, then events by seq, or net
//     changes by snapshot and user. Each has its position in that row.
//   - Its stream is its own cursor. After whatever has happened it goes on behind
//     the last message there, each message once, in order.
//   - What is missing in the ledger is an error, never left out, but for what was
//     erased and for gaps that an adoption has accepted.
package replay
