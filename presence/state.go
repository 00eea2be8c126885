package presence

import "time"

// State is what is stored of one user: the result of the user's events, the
// detail aside, which may change without one.
type State struct {
	User    User
	Watched bool
	// Stale says that the status is unknown for lack of answers, and not because
	// nobody ever answered or the user had left: the newest event is a [KindStale].
	Stale  bool
	Status Status
	Detail Detail
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
	// Held are changes that wait to be confirmed, new or in place of the one that
	// waited for the same user; Settled are the numbers of users of whom none waits
	// any more. A user is in one of the two at the most.
	Held    []Held
	Settled []uint32
}

// Empty tells whether there is nothing to write.
func (c Changes) Empty() bool {
	return len(c.Transitions) == 0 && len(c.States) == 0 && len(c.Held) == 0 && len(c.Settled) == 0
}

// Held is a change of one user that was seen and is not told yet: what is told of
// the user still is the status before. It has no number in the ledger.
type Held struct {
	User   User
	To     Status // as it was seen: online or offline
	Detail Detail
	// After and SeenAt are what After and ObservedAt of the transition will be: the
	// last answer before, and the first that said To. Both are whole microseconds.
	After, SeenAt time.Time
}
