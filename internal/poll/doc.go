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
//
// The invariants that it keeps:
//
//   - What could not be committed is not remembered: after a write that failed
//     the memory is given up, and with it the lease.
//   - A watchlist that could not be read to its end removes nobody.
//   - A large watchlist that is suddenly gone, or half of it or more, removes
//     nobody before a second sweep finds the same, unless that is allowed.
//   - A sweep that could not be finished leaves no snapshot.
package poll
