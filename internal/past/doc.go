// Package past is pure: it reckons who was told to be online at a time from a
// snapshot and the events behind it, and what changed between two snapshots. It does no input
// or output and knows no clock. It imports presence, and the library of the
// bitmaps.
//
// The invariants that it keeps:
//
//   - Who is online is known.
//   - A snapshot's state, with the events applied up to a later one's seq, is the
//     later one's state, for everybody.
//   - The changes from one state to another, applied to the first, give the
//     second, and say no more than is needed for that: one a user at most.
package past
