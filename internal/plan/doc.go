// Package plan reckons what a watchlist costs: how long a sweep takes, how late a
// change is seen, how much of the budget is used, and what a hold adds. It is pure,
// and imports the standard library alone.
//
//	users ─→ requests ─→ sweep ─┬→ between two answers about a user ─→ delay
//	            ↑               └→ next to the schedule: does it fit
//	            └── those that ask again, where changes are held
//
// It takes nothing from the rooms that it speaks of: what it says of the limiter, of
// the batches and of the lane that asks again stands here once more, as a sentence
// with a formula. Tests hold it against a simulation, and against the program.
//
// The invariants that it keeps:
//
//   - Nothing is better than it is: what is not known is reckoned for the worse, and
//     "worst" is a bound.
//   - More users never fit where fewer do not, nor does a lower rate.
package plan
