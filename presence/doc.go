// Package presence holds the words of the poller: who is watched, what was
// answered, what changed, and the event that tells it. It imports the standard
// library alone, does no input or output, and is imported by every other room
// and by consumers of the events.
//
// The invariants that the words carry:
//
//   - Times are UTC and whole microseconds (see [Instant]), because Postgres
//     would cut them there later and an event must be the same bytes however
//     often it is told.
//   - The sequence number of an event counts from 1 without gaps, per app.
//   - An event's id, subject and data follow from stored facts alone.
package presence
