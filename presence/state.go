package presence

import "time"

// State is what is stored of one user: the result of the user's events, the
// detail aside, which may change without one.
type State struct {
	User    User
	Watched bool
	Status  Status
	Detail  Detail
	// Since is the ObservedAt of the event that brought the status, ObservedAt
	// is when the answer that last changed the state was read, and AskedAt when
	// its request had left. All are zero before the first answer; in a change,
	// zero means that the time stays as it was.
	Since, ObservedAt, AskedAt time.Time
	// LastSeq is the user's newest event, 0 for none.
	LastSeq int64
}

// Changes is what one commit writes: rows of the ledger in the order of their
// Seq, and the states that they, or changes of detail, lead to; one state a user.
type Changes struct {
	Transitions []Transition
	States      []State
}

// Empty tells whether there is nothing to write.
func (c Changes) Empty() bool { return len(c.Transitions) == 0 && len(c.States) == 0 }
