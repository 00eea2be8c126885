package main

import (
	"fmt"
	"strings"

	"github.com/zim-presence/poller/internal/relay"
)

// adoptReport is what poller adopt -o json writes.
type adoptReport struct {
	AppID    uint32 `json:"app_id"`
	DryRun   bool   `json:"dry_run"`
	Adopted  bool   `json:"adopted"`           // something was done
	Why      string `json:"why,omitempty"`     // what halts the telling; empty: nothing to adopt
	Fork     int64  `json:"fork,omitempty"`    // newest event in which ledger and stream agreed
	Last     int64  `json:"last,omitempty"`    // newest event that was told
	Missing  []gap  `json:"missing,omitempty"` // of these, events that are nowhere any more
	Dropped  int64  `json:"dropped"`           // rows of the ledger that were never told
	Imported int64  `json:"imported"`          // events that the ledger did not have
	Known    int64  `json:"known"`             // users who will count as online or offline
	Unlisted int64  `json:"unlisted"`          // of these, who are not on the watchlist
	// These are known when it is done.
	States    int64  `json:"states,omitempty"`    // users whose state is another now
	NewUsers  int64  `json:"new_users,omitempty"` // of these, users whom the database did not know
	Snapshots int64  `json:"snapshots,omitempty"` // that were dropped
	Watched   int64  `json:"watched,omitempty"`   // users whom the next sweep looks for in the watchlist
	Log       string `json:"log,omitempty"`       // in the ids of events to come
}

// gap is a run of events. Last 0: nobody knows how far it goes.
type gap struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

func newAdoptReport(app uint32, split relay.Split, dry bool) *adoptReport {
	r := &adoptReport{AppID: app, DryRun: dry, Fork: split.Fork, Last: split.Told.Seq, Imported: split.Imported}
	if split.Why != nil {
		r.Why = split.Why.Error()
	}
	for _, span := range split.Missing {
		r.Missing = append(r.Missing, gap(span))
	}
	return r
}

// mostRemoved tells whether the sweeps will tell half of the users or more as
// removed, as they do where the watchlist was forgotten.
func (r *adoptReport) mostRemoved() bool { return r.Unlisted > 0 && 2*r.Unlisted >= r.Known }

func (c *adoptCmd) print(g *globals, r *adoptReport) error {
	if r == nil {
		return nil
	}
	if c.Output == "json" {
		return writeJSON(g.Stdout, r)
	}
	_, err := fmt.Fprint(g.Stdout, r.text())
	return err
}

func (r *adoptReport) text() string {
	if r.Why == "" {
		return fmt.Sprintf("app %d: nothing to adopt, the ledger agrees with what was told\n", r.AppID)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "app %d: %s\n", r.AppID, r.Why)
	will := ""
	if !r.Adopted {
		will = "to be "
	}
	fmt.Fprintf(&b, "the ledger agrees with what was told up to event %d of %d\n", r.Fork, r.Last)
	fmt.Fprintf(&b, "rows of the ledger that were never told, %sdropped: %d\n", will, r.Dropped)
	fmt.Fprintf(&b, "events that the ledger did not have, %simported: %d\n", will, r.Imported)
	for _, span := range r.Missing {
		fmt.Fprintf(&b, "events that are nowhere any more: %s\n", relay.Span(span))
	}
	if r.Unlisted > 0 {
		fmt.Fprintf(&b, "%d of %d users are not on the watchlist: the sweeps will tell them as removed.", r.Unlisted, r.Known)
		if !r.Adopted {
			b.WriteString(" Fill watched_users first.")
		}
		b.WriteByte('\n')
	}
	if r.Adopted {
		fmt.Fprintf(&b, "users whose state is another now: %d, not known before: %d; snapshots dropped: %d\n", r.States, r.NewUsers, r.Snapshots)
		fmt.Fprintf(&b, "events go on with %d, in the log %s; the next sweep tells which of %d users have changed, or left the watchlist\n",
			r.Last+1, r.Log, r.Watched)
	}
	return b.String()
}
