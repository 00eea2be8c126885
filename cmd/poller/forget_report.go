package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/presence"
)

// forgetReport is what poller forget -o json writes. It does not name the user: reports are kept.
type forgetReport struct {
	AppID uint32 `json:"app_id"`
	// ErasedAt is when the database was changed, by this run; null where it was not.
	ErasedAt *time.Time    `json:"erased_at"`
	Places   []forgetPlace `json:"places"`
	// Untold is how many events of an earlier run, of whomever, have yet to be told as erased.
	Untold int64 `json:"untold"`
	// Told is how many events were told as erased.
	Told   int64    `json:"told"`
	Copies []string `json:"copies,omitempty"` // streams of others that copy these, not looked into
	Why    string   `json:"why,omitempty"`    // why streams of replays are not known

	user    string
	traces  *ledger.Traces
	streams []*streamOf
}

// forgetPlace is one place where the user may be.
type forgetPlace struct {
	Place   string `json:"place"`   // a table or a stream
	Found   int    `json:"found"`   // rows, or messages
	Removed int    `json:"removed"` // of the ledger: tombstones now
	Left    int    `json:"left"`
	Why     string `json:"why,omitempty"` // why they are left, or not known
}

// streamOf is a stream with the user's messages in it.
type streamOf struct {
	place stream.Place
	found []stream.Mention
}

func newForgetReport(app uint32, user string, t *ledger.Traces, untold presence.SeqSet) *forgetReport {
	r := &forgetReport{AppID: app, user: user, traces: t, Untold: untold.Len()}
	r.add("watched_users", t.Watchlist, nil)
	r.add("user_states", t.State, nil)
	r.add("transitions", t.Rows(), nil)
	r.add("replays", t.Replays, nil)
	return r
}

func (r *forgetReport) add(place string, found int, err error) {
	p := forgetPlace{Place: place, Found: found, Left: found}
	if err != nil {
		p.Why = err.Error()
	}
	r.Places = append(r.Places, p)
}

// stream returns a stream that was searched before; nil for one that was not.
func (r *forgetReport) stream(name string) *streamOf {
	for _, s := range r.streams {
		if s.place.Stream == name {
			return s
		}
	}
	return nil
}

func (r *forgetReport) removed(place string, n, left int, err error) {
	for i := range r.Places {
		if p := &r.Places[i]; p.Place == place {
			p.Removed, p.Left, p.Why = n, left, ""
			p.Found = max(p.Found, n+left)
			if err != nil {
				p.Why = err.Error()
			}
		}
	}
}

func (r *forgetReport) erased(done ledger.Forgotten, at time.Time) {
	r.ErasedAt = &at
	r.removed("watched_users", int(done.Watchlist), 0, nil)
	r.removed("user_states", int(done.State), 0, nil)
	r.removed("transitions", int(done.Rows), 0, nil)
	r.removed("replays", int(done.Replays), 0, nil)
}

// any tells whether there is anything to do.
func (r *forgetReport) any() bool {
	for _, p := range r.Places {
		if p.Found > 0 {
			return true
		}
	}
	return r.Untold > 0
}

// unseen says that some place could not be looked into.
func (r *forgetReport) unseen() error {
	for _, p := range r.Places {
		if p.Why != "" {
			return fmt.Errorf("app %d: not all places could be looked into", r.AppID)
		}
	}
	if r.Why != "" {
		return fmt.Errorf("app %d: not all places could be looked into", r.AppID)
	}
	return nil
}

// left says that not everything is gone.
func (r *forgetReport) left() error {
	for _, p := range r.Places {
		if p.Left > 0 {
			return fmt.Errorf("app %d: not everything was removed: see what is left; running it again goes on", r.AppID)
		}
	}
	return r.unseen()
}

func (c *forgetCmd) print(g *globals, r *forgetReport) error {
	if r == nil {
		return nil
	}
	if c.Output == "json" {
		return writeJSON(g.Stdout, r)
	}
	_, err := fmt.Fprint(g.Stdout, r.text())
	return err
}

// beyond is what no run of this program reaches.
const beyond = "Not reached from here: what consumers have kept, backups, exports, logs, and for a while bytes in files of NATS and Postgres; " +
	"docs/erasure.md says what to do about each.\n"

func (r *forgetReport) text() string {
	var b strings.Builder
	if !r.any() {
		fmt.Fprintf(&b, "app %d: nothing of this user was found (is the id right?)\n", r.AppID)
	} else {
		r.table(&b)
	}
	for _, p := range r.Places {
		if p.Why != "" {
			fmt.Fprintf(&b, "%s: %s\n", p.Place, p.Why)
		}
	}
	if r.Why != "" {
		fmt.Fprintf(&b, "the streams of replays are not known: %s\n", r.Why)
	}
	if r.ErasedAt != nil {
		fmt.Fprintf(&b, "erased at %s\n", rfc(*r.ErasedAt))
	}
	if r.Told > 0 {
		fmt.Fprintf(&b, "events told as erased on %s: %d\n", presence.ControlSubject(r.AppID, presence.ErasedWord), r.Told)
	} else if r.Untold > 0 && r.ErasedAt == nil {
		fmt.Fprintf(&b, "events of an earlier run, yet to be told as erased: %d\n", r.Untold)
	}
	for _, name := range r.Copies {
		fmt.Fprintf(&b, "not looked into: stream %s, which is not the poller's and may hold copies\n", name)
	}
	b.WriteString(beyond)
	return b.String()
}

// table has what became of what was found only when something was done.
func (r *forgetReport) table(b *strings.Builder) {
	fmt.Fprintf(b, "app %d:\n", r.AppID)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	if r.ErasedAt == nil {
		fmt.Fprintln(t, "found\t  ")
		for _, p := range r.Places {
			fmt.Fprintf(t, "%d\t  %s\n", p.Found, p.Place)
		}
	} else {
		fmt.Fprintln(t, "found\tremoved\tleft\t  ")
		for _, p := range r.Places {
			fmt.Fprintf(t, "%d\t%d\t%d\t  %s\n", p.Found, p.Removed, p.Left, p.Place)
		}
	}
	_ = t.Flush() // into memory: it cannot fail
}
