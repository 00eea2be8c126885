package audit

import "fmt"

// Kind says what is wrong.
type Kind string

const (
	// Lost: the ledger has an event and the stream has not.
	Lost Kind = "lost"
	// Doubled: the stream has an event twice, or tells a user's change twice.
	Doubled Kind = "doubled"
	// Reordered: an event stands behind a later one, or does not follow the
	// user's event before it.
	Reordered Kind = "reordered"
	// Altered: an event in the stream is not what its ledger row says.
	Altered Kind = "altered"
	// Foreign: a message in the stream is no event of the ledger.
	Foreign Kind = "foreign"
	// Ledger: the ledger is not gapless, or a user's chain in it is broken.
	Ledger Kind = "ledger"
	// State: what is kept of a user is not what the user's events lead to.
	State Kind = "state"
	// Bucket: the bucket has not the user's last event.
	Bucket Kind = "bucket"
	// Truth: what is known of a user is not how the user stands at ZIM.
	Truth Kind = "truth"
	// Interval: an event tells a change that did not happen when it says.
	Interval Kind = "interval"
	// Budget: a sliding second held more requests than the limit.
	Budget Kind = "budget"
)

// Finding is one thing that is wrong.
type Finding struct {
	App  uint32
	Kind Kind
	Key  string // the user, event or message that it is about
	Text string
}

// String is the finding in one line.
func (f Finding) String() string { return fmt.Sprintf("app %d: %s: %s", f.App, f.Kind, f.Text) }

// keptOfAKind is how many findings of a kind are kept with their text: where one
// thing breaks, thousands of others follow.
const keptOfAKind = 10

// Report is what was found.
type Report struct {
	App uint32
	// Events is how many the ledger has, Messages how many the stream.
	Events, Messages int
	// Users is how many have an event, Watched how many are on the watchlist, and
	// Held how many of these were compared with the truth.
	Users, Watched, Held int
	// Count is how many findings there are of each kind; none is not in it.
	Count map[Kind]int
	// Findings are the first ten of each kind, in the order in which they were made.
	Findings []Finding
}

// Sound tells whether nothing was found.
func (r *Report) Sound() bool { return len(r.Count) == 0 }

func (r *Report) add(kind Kind, key, format string, args ...any) {
	r.Count[kind]++
	if r.Count[kind] <= keptOfAKind {
		r.Findings = append(r.Findings, Finding{App: r.App, Kind: kind, Key: key, Text: fmt.Sprintf(format, args...)})
	}
}
