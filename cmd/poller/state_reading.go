package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/past"
	"github.com/zim-presence/poller/presence"
)

// reading is the state of an app at a time, and what it rests on.
type reading struct {
	app    uint32
	at     time.Time
	chosen []string // all, if empty
	online bool     // only who is

	extent   ledger.Extent
	base     presence.Snapshot // Sweep is 0 where nothing was before the first event
	next     presence.Snapshot // the one behind base; Sweep is 0 where there is none
	last     int64             // the newest event that may be in the state
	applied  int               // events behind base
	lost     int64             // events behind base that an adoption went on without
	earliest time.Time         // at which something is told, where base is nothing; zero for never
	dropped  bool              // by retention, the events behind base: it is the state as of its end

	state   *past.State
	names   roster
	numbers map[string]uint32         // of the chosen
	brought map[uint32]ledger.Brought // of the chosen, by number
	counts  stateCounts
}

func newReading(app uint32, at time.Time, chosen []string, online bool) *reading {
	return &reading{app: app, at: at, chosen: chosen, online: online}
}

// read does it.
func (r *reading) read(ctx context.Context, p *ledger.Past) error {
	for _, step := range []func(context.Context, *ledger.Past) error{r.readBase, r.readNames, r.readEvents, r.readBrought} {
		if err := step(ctx, p); err != nil {
			return err
		}
	}
	r.count()
	return nil
}

// readBase finds what the state is reckoned from, and how far.
func (r *reading) readBase(ctx context.Context, p *ledger.Past) (err error) {
	if r.extent, err = p.Extent(ctx); err != nil {
		return err
	}
	var found, more bool
	if r.base, found, err = p.SnapshotAt(ctx, r.at); err != nil {
		return err
	}
	if r.next, more, err = p.SnapshotBehind(ctx, r.base.Sweep); err != nil {
		return err
	}
	if r.last = r.extent.Newest; more {
		r.last = r.next.Seq
	}
	if !found {
		r.state, r.earliest = past.New(), r.next.Finished
		if r.extent.PrunedSeq > 0 {
			return r.refuse()
		}
		return nil
	}
	r.dropped = r.extent.PrunedSeq > r.base.Seq && r.last > r.base.Seq
	if r.state, err = past.Restore(&r.base); err != nil {
		return fmt.Errorf("app %d: %w", r.app, err)
	}
	return nil
}

// refuse says that nothing tells what is asked for, and when something does.
func (r *reading) refuse() error {
	if r.earliest.IsZero() {
		return fmt.Errorf("app %d: nothing is recorded that tells who was online", r.app)
	}
	return fmt.Errorf("app %d: nothing is recorded that tells who was online at %s: the earliest possible time is %s", r.app, rfc(r.at), rfc(r.earliest))
}

func (r *reading) readNames(ctx context.Context, p *ledger.Past) (err error) {
	if len(r.chosen) == 0 {
		return p.Names(ctx, r.names.put)
	}
	r.numbers, err = p.NumbersOf(ctx, r.chosen)
	return err
}

// readBrought finds which events brought the statuses of the chosen, most of which are older than base.
func (r *reading) readBrought(ctx context.Context, p *ledger.Past) (err error) {
	if len(r.numbers) == 0 {
		return nil
	}
	last := r.last
	if r.dropped {
		last = r.base.Seq
	}
	r.brought, err = p.BroughtBy(ctx, slices.Collect(maps.Values(r.numbers)), r.at, last)
	return err
}

// readEvents applies what was known by then of what the next snapshot has and base has not.
func (r *reading) readEvents(ctx context.Context, p *ledger.Past) error {
	if r.dropped {
		return nil
	}
	gaps, err := p.Gaps(ctx)
	if err != nil {
		return err
	}
	for _, g := range gaps {
		r.lost += max(0, min(g.Last, r.last)-max(g.First-1, r.base.Seq))
	}
	err = p.Events(ctx, presence.Cursor{Seq: r.base.Seq}, r.last, func(events []presence.Event) error {
		for i := range events {
			r.apply(&events[i].Transition)
		}
		return nil
	})
	if err == nil && r.base.Sweep == 0 && r.applied == 0 {
		return r.refuse()
	}
	return err
}

func (r *reading) apply(t *presence.Transition) {
	if t.Kind == presence.KindErased {
		return
	}
	known := t.KnownAt()
	if r.base.Sweep == 0 && (r.earliest.IsZero() || known.Before(r.earliest)) {
		r.earliest = known
	}
	if known.After(r.at) {
		return
	}
	r.applied++
	r.state.Apply(t)
}

// asOf is the moment up to which everybody had been asked about: the time that was asked for, or earlier where the
// newest complete sweep, or what retention has left, ends before it. It is zero where no sweep had come to its end.
func (r *reading) asOf() time.Time {
	if r.dropped || r.next.Sweep == 0 || r.base.Sweep == 0 {
		return r.base.Finished
	}
	return r.at
}
