package main

import (
	"context"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/past"
	"github.com/zim-presence/poller/internal/replay"
	"github.com/zim-presence/poller/presence"
)

// dryReport is what poller replay --dry-run -o json writes.
type dryReport struct {
	AppID  uint32     `json:"app_id"`
	First  int64      `json:"first_seq"`
	Last   int64      `json:"last_seq"`
	Sweeps *[2]int64  `json:"sweeps,omitempty"` // with --snapshots
	Days   []dayCount `json:"days"`
	States int64      `json:"states"`           // messages of the state at the beginning
	Total  int64      `json:"total"`            // messages that would be told; erased events are none
	Untold int64      `json:"untold,omitempty"` // events, whatever the choice, that are left out because they have not been told live yet
}

// dayCount is how many messages of a kind are of a day.
type dayCount struct {
	Day   string `json:"day"` // UTC
	Kind  string `json:"kind"`
	Count int64  `json:"count"`
}

// dry counts what would be told.
func (c *replayTellCmd) dry(ctx context.Context, g *globals, p replayParts, choice replayChoice, users []string) error {
	var r dryReport
	var unknown []string
	err := p.ledger.View(ctx, func(view *ledger.Past) error {
		find := ranging{past: view, ledger: p.ledger, app: p.app}
		found, err := find.find(ctx, c)
		if err != nil {
			return err
		}
		var chosen ledger.Choice
		if chosen, unknown, err = choice.chosen(ctx, view, users); err != nil {
			return err
		}
		r = dryReport{AppID: p.app, First: found.first, Last: found.last, Untold: found.untold, Days: []dayCount{}}
		if c.Snapshots {
			r.Sweeps = &found.sweeps
			return r.countChanges(ctx, view, chosen, found, c.WithState)
		}
		if c.WithState {
			state, err := replay.StateBehind(ctx, view, found.first-1)
			if err != nil {
				return err
			}
			r.addStates(state, chosen)
		}
		return r.countEvents(ctx, view, chosen, found)
	})
	if err != nil {
		return err
	}
	warnUnknown(g.Stderr, unknown)
	if c.Output == "json" {
		return writeJSON(g.Stdout, r)
	}
	return r.text(g)
}

func (r *dryReport) countEvents(ctx context.Context, view *ledger.Past, chosen ledger.Choice, found replayRange) error {
	until := found.until
	if until.IsZero() { // a gap is there
		until = time.Now()
	}
	counts, err := view.CountByDay(ctx, found.first, found.last, found.since, until, chosen)
	for _, n := range counts {
		r.add(n.Day, n.Kind, n.Events)
	}
	return err
}

func (r *dryReport) add(day time.Time, kind presence.Kind, n int64) {
	r.Days = append(r.Days, dayCount{day.Format(time.DateOnly), kind.String(), n})
	if kind != presence.KindErased {
		r.Total += n
	}
}

// addStates counts whose state would be told.
func (r *dryReport) addStates(state *past.State, chosen ledger.Choice) {
	wanted := numberSet(chosen.Users)
	for no := range state.Users() {
		if wanted == nil || wanted[no] {
			r.States++
		}
	}
	r.Total += r.States
}

// countChanges counts the net changes between snapshots.
func (r *dryReport) countChanges(ctx context.Context, view *ledger.Past, chosen ledger.Choice, found replayRange, states bool) error {
	wanted, before, day := numberSet(chosen.Users), past.New(), time.Time{}
	counts := map[presence.Kind]int64{}
	flush := func() {
		for k := presence.KindOnline; k <= presence.KindRemoved; k++ {
			if counts[k] > 0 {
				r.add(day, k, counts[k])
			}
		}
		clear(counts)
	}
	for s, err := range view.Snapshots(ctx, found.sweeps[0]-1) {
		if err != nil {
			return err
		}
		if s.Sweep > found.sweeps[1] {
			break
		}
		state, err := past.Restore(&s)
		if err != nil {
			return err
		}
		if s.Sweep == found.sweeps[0] {
			if before = state; states {
				r.addStates(state, chosen)
			}
			continue
		}
		if of := s.Finished.Truncate(24 * time.Hour); !of.Equal(day) {
			flush()
			day = of
		}
		for c := range past.Changes(before, state) {
			if (wanted == nil || wanted[c.No]) && (len(chosen.Kinds) == 0 || slices.Contains(chosen.Kinds, c.Kind())) {
				counts[c.Kind()]++
			}
		}
		before = state
	}
	flush()
	return nil
}

func (r *dryReport) text(g *globals) error {
	t := tabwriter.NewWriter(g.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "DAY\tKIND\tCOUNT")
	for _, d := range r.Days {
		fmt.Fprintf(t, "%s\t%s\t%d\n", d.Day, d.Kind, d.Count)
	}
	if r.States > 0 {
		fmt.Fprintf(t, "state\tat the beginning\t%d\n", r.States)
	}
	fmt.Fprintf(t, "total\t\t%d\n", r.Total)
	if err := t.Flush(); err != nil || r.Untold == 0 {
		return err
	}
	_, err := fmt.Fprintf(g.Stdout, "left out, as they have not been told live yet: %d events\n", r.Untold)
	return err
}
