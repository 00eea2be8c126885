package presence

// ReplayEnd is the end of a replay's stream, which counts its messages: the n-th
// message of the replay has the sequence number n.
type ReplayEnd struct {
	// Counted is false where nothing is stored, and so nothing is known.
	Counted bool
	// Told is how many messages were ever stored.
	Told int64
	// Last is the newest message that can still be read; Position 0 for none, as
	// messages expire and are erased.
	Last Retold
}
