package presence

import "time"

// Snapshot is the state of everybody at the end of one complete sweep.
type Snapshot struct {
	Sweep int64
	// Started is before the first request of the sweep left, Finished after its
	// last answer was committed.
	Started, Finished time.Time
	// Seq is the newest event at Finished.
	Seq int64
	// Online and Known are sets of [User.No], each a Roaring bitmap in the
	// portable format. Known is everybody online or offline.
	Online, Known []byte
	// Missed holds the [User.No] of everybody without an answer, ascending.
	Missed []uint32
	// Watched is how many users the sweep asked about, Seen how many of them
	// were answered, Transitions how many events it added, of every kind, and
	// Requests how many requests it sent, repetitions included.
	Watched, Seen, Transitions, Requests int
}
