package poll

import (
	"time"

	"github.com/zim-presence/poller/presence"
)

// Report is what a sweep has done, or has done so far.
type Report struct {
	Sweep             int64
	Started, Finished time.Time
	// Watched is whom the sweep asks about; Added and Removed are how many came
	// and went since the last one.
	Watched, Added, Removed int
	// RemovalsHeld are gone from the watchlist and stay in Watched for now, because
	// so many went at once; see [Recorder.AllowSuddenDrop].
	RemovalsHeld int
	Listed
	// Seen were answered. The others of Watched are missed, by reason; in a
	// sweep that failed also those who were not asked any more.
	Seen   int
	Missed map[presence.MissReason]int
	Asked
	// Again is how many requests asked users again that were over in its time. They
	// are not counted in Asked.
	Again int
	// Transitions counts the events that were added, of every kind.
	Transitions int
	// Held is how many changes are held back at the end; see [Recorder.Hold].
	Held int
	// Seq is the newest event at the end.
	Seq int64
	// Waited is how long it waited, behind the last answer, for a decision about answers
	// that were not believed; see [Recorder.MaxOfflineShare].
	Waited time.Duration
	// Complete says that everybody was asked and a snapshot is stored.
	Complete bool
}

// MissedTotal is the number of users without an answer.
func (r *Report) MissedTotal() int {
	total := 0
	for _, n := range r.Missed {
		total += n
	}
	return total
}

// rest is the number of users who are in no answer.
func (r *Report) rest() int { return r.Watched - r.Seen - r.MissedTotal() }

// missRest counts those who are in no answer, because the sweep ended early.
func (r *Report) missRest() {
	if rest := r.rest(); rest > 0 {
		r.Missed[presence.MissFailed] += rest
	}
}
