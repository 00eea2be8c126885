// Package past is pure: it reckons who was online at a time from a snapshot and
// the events behind it, and what changed between two snapshots. It does no input
// or output and knows no clock. It imports presence, and the library of the
// bitmaps.
package past
