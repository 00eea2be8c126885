package main

import (
	"context"
	"fmt"
	"time"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/presence"
)

// replayRange is what a choice comes to in the ledger as it stands.
type replayRange struct {
	first, last  int64 // both included; first is one more than last where nothing is in it
	since, until time.Time
	needed       int64     // the ledger is needed behind this event
	at           time.Time // of the state at the beginning
	sweeps       [2]int64
	kept         int64 // snapshots from the first to the last
	untold       int64 // events that are left out because they have not been told live yet
}

// ranging finds the range of a replay. It ends with what has been told live: where the database was restored behind its
// stream, an adoption drops what has not, and its ids go to other events.
type ranging struct {
	past   *ledger.Past
	ledger *ledger.Ledger
	app    uint32
	extent ledger.Extent
	told   int64
}

func (r *ranging) find(ctx context.Context, c *replayTellCmd) (found replayRange, err error) {
	if r.extent, err = r.past.Extent(ctx); err != nil {
		return found, err
	}
	if r.told, err = r.past.Told(ctx); err != nil {
		return found, err
	}
	if c.Snapshots {
		return r.snapshots(ctx, c)
	}
	if found.first, err = r.first(ctx, c.From); err != nil {
		return found, err
	}
	if found.last, err = r.last(ctx, c.To); err != nil {
		return found, err
	}
	found.untold = max(0, found.last-max(r.told, found.first-1))
	found.last = max(min(found.last, r.told), found.first-1)
	found.needed = found.first - 1
	if found.since, err = r.recorded(ctx, found.first); err != nil {
		return found, err
	}
	if found.since.IsZero() { // it is in a gap
		found.since = r.extent.FirstRecorded
	}
	if found.until, err = r.recorded(ctx, found.last); err != nil {
		return found, err
	}
	if c.WithState {
		err = r.state(ctx, c.From, &found)
	}
	return found, err
}

// recorded returns when an event was recorded; zero where it is not there.
func (r *ranging) recorded(ctx context.Context, seq int64) (time.Time, error) {
	e, found, err := r.ledger.Event(ctx, seq)
	if err != nil || !found {
		return time.Time{}, err
	}
	return e.RecordedAt, nil
}

func (r *ranging) first(ctx context.Context, from bound) (int64, error) {
	e := r.extent
	switch {
	case !from.given():
		return max(e.First, e.PrunedSeq+1), nil
	case from.seq > e.Newest:
		return 0, usagef("--from %d: there is no such event yet, the newest is %d", from.seq, e.Newest)
	case from.seq > r.told:
		return 0, r.early("--from", from)
	case from.seq > 0 && from.seq <= e.PrunedSeq, from.seq == 0 && e.PrunedSeq > 0 && from.at.Before(e.PrunedUntil):
		return 0, r.refuse(from)
	case from.seq > 0:
		return from.seq, nil
	}
	seq, _, found, err := r.past.RecordedSince(ctx, from.at)
	if !found {
		seq = e.Newest + 1
	}
	if err == nil && seq > max(r.told, e.PrunedSeq)+1 {
		err = r.early("--from", from)
	}
	return seq, err
}

// early says up to where it can be told by now.
func (r *ranging) early(flag string, b bound) error {
	if b.seq > 0 {
		return usagef("%s %d: event %d has not been told live yet, the newest that has is %d", flag, b.seq, b.seq, r.told)
	}
	return usagef("%s %s: the events before then have not all been told live yet, the newest that has is %d", flag, b.text, r.told)
}

// refuse says what the earliest beginning is.
func (r *ranging) refuse(from bound) error {
	text := fmt.Sprintf("app %d: what --from %s names was dropped by retention", r.app, from.text)
	if from.seq == 0 && from.text != rfc(from.at) {
		text += fmt.Sprintf(" (%s)", rfc(from.at))
	}
	text += fmt.Sprintf(": the earliest possible is --from %s, or --from %d", rfc(r.extent.PrunedUntil), r.extent.PrunedSeq+1)
	if r.extent.FirstSweep > 0 && r.extent.FirstFinished.Before(r.extent.PrunedUntil) {
		text += fmt.Sprintf("; net changes between snapshots reach back to %s: --snapshots", rfc(r.extent.FirstFinished))
	}
	return fmt.Errorf("%s", text)
}

func (r *ranging) last(ctx context.Context, to bound) (int64, error) {
	switch {
	case !to.given():
		return r.extent.Newest, nil
	case to.seq > r.extent.Newest:
		return 0, usagef("--to %d: there is no such event yet, the newest is %d", to.seq, r.extent.Newest)
	case to.seq > r.told:
		return 0, r.early("--to", to)
	case to.seq > 0:
		return to.seq, nil
	}
	seq, _, found, err := r.past.RecordedSince(ctx, to.at)
	if !found {
		seq = r.extent.Newest + 1
	}
	return seq - 1, err
}

// state finds what the state at the beginning is reckoned from.
func (r *ranging) state(ctx context.Context, from bound, found *replayRange) error {
	before := found.first - 1
	s, kept, err := r.past.SnapshotUpTo(ctx, before)
	if err != nil {
		return err
	}
	if s.Seq < r.extent.PrunedSeq { // also where there is none
		return r.refuseState(ctx, before)
	}
	if found.at, err = r.recorded(ctx, before); err != nil {
		return err
	}
	switch {
	case from.given() && from.seq == 0:
		found.at = from.at
	case found.at.IsZero() && kept:
		found.at = s.Finished
	case found.at.IsZero():
		found.at = presence.Instant(found.since)
	}
	found.needed = s.Seq
	return nil
}

func (r *ranging) refuseState(ctx context.Context, before int64) error {
	s, found, err := r.past.SnapshotFrom(ctx, r.extent.PrunedSeq)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("app %d: the state behind event %d cannot be told: retention has dropped the events up to %d, and no snapshot is between", r.app, before, r.extent.PrunedSeq)
	if found {
		text += fmt.Sprintf("; the earliest possible is --from %d, the state of %s", s.Seq+1, rfc(s.Finished))
	}
	return fmt.Errorf("%s", text)
}

// snapshots finds the first and the last snapshot of a range of time.
func (r *ranging) snapshots(ctx context.Context, c *replayTellCmd) (found replayRange, err error) {
	if r.extent.FirstSweep == 0 {
		return found, fmt.Errorf("app %d: there are no snapshots", r.app)
	}
	from, to := c.From.at, c.To.at
	if !c.From.given() {
		from = r.extent.FirstFinished
	}
	if !c.To.given() {
		to = r.extent.LastFinished
	}
	first, kept, err := r.past.SnapshotAt(ctx, from)
	if err != nil {
		return found, err
	}
	if !kept {
		return found, fmt.Errorf("app %d: no snapshot of --from %s or before is kept: the earliest possible is --from %s", r.app, c.From.text, rfc(r.extent.FirstFinished))
	}
	if first.Seq > r.told {
		return found, r.early("--from", bound{text: rfc(from)})
	}
	last, _, err := r.past.SnapshotAt(ctx, to)
	if err != nil {
		return found, err
	}
	if found.untold = max(0, last.Seq-r.told); found.untold > 0 {
		if last, _, err = r.past.SnapshotUpTo(ctx, r.told); err != nil {
			return found, err
		}
	}
	if found.kept, err = r.past.CountSnapshots(ctx, first.Sweep, last.Sweep); err != nil {
		return found, err
	}
	// Nothing of the ledger is needed, so that it holds back no partition.
	return replayRange{
		first: first.Seq + 1, last: last.Seq, needed: last.Seq, at: first.Finished,
		since: first.Finished, until: last.Finished, sweeps: [2]int64{first.Sweep, last.Sweep},
		kept: found.kept, untold: found.untold,
	}, nil
}
