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
	// ConfirmedAt is when a change that was held back was taken for true: by then it
	// had lasted for the hold, or had been asked about again. Zero where nothing was
	// held back, as always by default; never before ObservedAt.
	ConfirmedAt time.Time
	// Sweep is the number of the sweep that saw the change, per app, from 1.
	Sweep int64
}

// KnownAt is when the change became part of what is told: when it was seen, or, of
// one that was held back, when it was confirmed.
func (t *Transition) KnownAt() time.Time {
	if t.ConfirmedAt.IsZero() {
		return t.ObservedAt
	}
	return t.ConfirmedAt
}

// Encoding is the version that a new row of the ledger gets.
func (t *Transition) Encoding() Encoding {
	if t.ConfirmedAt.IsZero() {
		return EncodingV1
	}
	return EncodingV2
}
