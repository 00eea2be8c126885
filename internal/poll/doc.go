// Package poll is the corridor that records: it starts sweeps on a schedule,
// asks about the whole watchlist, and has every change committed as it comes.
// It imports presence and the pure room diff, and declares what it needs of the
// doors.
//
//	schedule ─→ sweep:  watchlist ─→ memory ─→ new: enroll, gone: removed ─→ commit
//	                    memory ─→ ask ─→ answers ─┐ (one goroutine asks, one records)
//	                                              ├─→ compare ─→ commit ─→ wake the relay
//	                    more answers meanwhile ───┘    natural batching
//	                    snapshot
//	beside it, and between sweeps:
//	                    who is due ─→ ask again ─→ answers ─→ compare ─→ commit
//	                    hints ──────→ ask ───────→ answers ─→ compare ─→ commit
//	                    who was not answered for long ─→ stale ─→ commit
//
// The invariants that it keeps:
//
//   - What could not be committed is not remembered: after a write that failed
//     the memory is given up, and with it the lease.
//   - A watchlist that could not be read to its end removes nobody.
//   - A large watchlist that is suddenly gone, or half of it or more, removes
//     nobody before a second sweep finds the same, unless that is allowed.
//   - A sweep that could not be finished leaves no snapshot.
//   - What is held back is told when an answer confirms it that was asked for when
//     the hold was over, and else never: no time that passes tells a change.
//   - A hint decides nothing: it has somebody asked about, with a quarter of the budget
//     at the most.
//   - Nobody is stale for an age that nobody had the time to mend: a term asks first.
package poll
