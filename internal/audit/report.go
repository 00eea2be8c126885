package audit

import "fmt"

// Kind says what is wrong.
type Kind string

const (
	// Lost: the ledger has an event and the stream has not.
	Lost Kind = "lost"
	// Doubled: the stream has an event twice.
	Doubled Kind = "doubled"
	// Reordered: an event in the stream stands behind a later one.
	Reordered Kind = "reordered"
	// Altered: an event in the stream is not what its ledger row says.
	Altered Kind = "altered"
	// Foreign: a message in the stream is no event of the ledger.
	Foreign Kind = "foreign"
	// Ledger: rows are missing in the ledger or cannot be, or the app counts otherwise.
	Ledger Kind = "ledger"
	// Chain: an event does not follow the user's event before it.
	Chain Kind = "chain"
	// Snapshot: a snapshot is not the one before and the events between.
	Snapshot Kind = "snapshot"
	// State: what is kept of a user is not what the user's events lead to.
	State Kind = "state"
	// Bucket: the bucket has not the user's last event.
	Bucket Kind = "bucket"
	// Erasure: what was told as erased is not what was erased.
	Erasure Kind = "erasure"
	// Truth: what is known of a user is not how the user stands at ZIM.
	Truth Kind = "truth"
	// Interval: an event tells a change that did not happen when it says.
	Interval Kind = "interval"
	// Budget: a sliding second held more requests than the limit.
	Budget Kind = "budget"
)

// Kinds are those that [Audit.Run] finds without a truth to compare with, in the
// order in which people read them.
func Kinds() []Kind {
	return []Kind{Ledger, Chain, Snapshot, State, Lost, Doubled, Reordered, Altered, Foreign, Erasure, Bucket}
}

// Finding is one thing that is wrong.
type Finding struct {
	App  uint32
	Kind Kind
	Key  string // the user, event, sweep or message that it is about
	Text string
}

// String is the finding in one line.
func (f Finding) String() string { return fmt.Sprintf("app %d: %s: %s", f.App, f.Kind, f.Text) }

// keptOfAKind is how many findings of a kind are kept with their text: where one
// thing breaks, thousands of others follow.
const keptOfAKind = 10

// Report is what was looked at, and what was found.
type Report struct {
	App uint32
	// First and Last are the events that were looked at; Last is less where there
	// are none.
	First, Last int64
	// Events is how many the ledger has there, Snapshots how many snapshots,
	// Messages how many of the events the stream has, and Entries how many the bucket.
	Events, Snapshots, Messages, Entries int
	// Users is how many have a state, or an event without one.
	Users int
	// Pruned is the newest event that was dropped for its age, 0 for none. Accepted
	// is how many of the events an adoption went on without, and Erased how many
	// were erased; Standing is how many messages of these the stream and the bucket
	// still have.
	Pruned                     int64
	Accepted, Erased, Standing int
	// Untold is how many events the stream does not have yet, and Awaited how many
	// users the bucket will have when they are told again.
	Untold, Awaited int
	// Watched is how many users are on the watchlist, and Held how many of these were
	// compared with the truth.
	Watched, Held int
	// Count is how many findings there are of each kind; none is not in it.
	Count map[Kind]int
	// Findings are the first ten of each kind, in the order in which they were made.
	Findings []Finding
}

func newReport(app uint32) *Report { return &Report{App: app, Count: map[Kind]int{}} }

// Sound tells whether nothing was found.
func (r *Report) Sound() bool { return len(r.Count) == 0 }

// FirstOf returns the first finding of a kind.
func (r *Report) FirstOf(kind Kind) (Finding, bool) {
	for _, f := range r.Findings {
		if f.Kind == kind {
			return f, true
		}
	}
	return Finding{}, false
}

func (r *Report) add(kind Kind, key, format string, args ...any) {
	r.Count[kind]++
	if r.Count[kind] <= keptOfAKind {
		r.Findings = append(r.Findings, Finding{App: r.App, Kind: kind, Key: key, Text: fmt.Sprintf(format, args...)})
	}
}
