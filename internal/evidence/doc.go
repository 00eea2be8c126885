// Package evidence keeps in memory what was asked and answered lately, and what was
// held back or not believed, so that it can be explained: one [Book] an app.
//
//	a request, after it         → Book.Attempted  ┐
//	a change that is not told   → Book.Suppressed ├→ Book.Of(user)
//	an incident                 → Book.Incident   ┘
//
// It is pure, and imports presence. The invariants that it keeps:
//
//   - A book is bounded, in bytes: some tens of answers for each watched user, and
//     10 MB whatever their number. What comes drives out what is oldest.
//   - Of a user the number is kept and never the id: who is erased has no name here.
//   - Nothing here is needed by anybody but whoever asks why: to write costs some
//     nanoseconds a user, and nothing waits for a reader but for that long.
package evidence
