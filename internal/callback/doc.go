// Package callback is the door for ZIM's login and logout callbacks. It checks their
// signatures and passes on who is said to have come or gone, as a hint whom to ask
// about next. It imports the standard library alone.
//
//	POST ─→ at most 64 KB ─→ fields ─→ secret of the app ─→ signature ─→ time ─→ hint
//
// ZIM signs its secret, a time and a nonce, and not the user: whoever has seen one
// callback can name others for as long as its time is good. So a signature is a
// fence against strangers, and no proof of anything.
//
// The invariants that it keeps:
//
//   - A callback decides nothing. Lost, late, doubled and forged ones change only when
//     somebody is asked about.
//   - An answer does not say whether a user is watched, or exists.
//   - Memory is bounded, whoever sends: by the connections, and what one may send. So is
//     the work: one call is judged at a time.
//   - Nothing of a body is in an error or a log.
package callback
