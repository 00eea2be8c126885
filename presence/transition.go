package presence

import "time"

// Transition is a row of the ledger: a change of what is known of one user.
// Besides the real transitions (kinds online and offline) the ledger numbers
// the baselines and the removals, so that a consumer can prove that it has
// missed nothing.
type Transition struct {
	// Seq counts the app's events from 1 without gaps.
	Seq int64
	// PrevSeq is the user's previous event, 0 for none.
	PrevSeq int64
	User    User
	Kind    Kind
	From    Status
	To      Status
	Detail  Detail
	// After and ObservedAt bound the moment of the change: it happened in
	// (After, ObservedAt]. After is zero where nothing was known before.
	After      time.Time
	ObservedAt time.Time
	// Sweep is the number of the sweep that saw the change, per app, from 1.
	Sweep int64
}
