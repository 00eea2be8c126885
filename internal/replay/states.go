package replay

import (
	"context"
	"fmt"

	"github.com/zim-presence/poller/internal/past"
	"github.com/zim-presence/poller/presence"
)

// Snapshots are the stored ones, with the events between them.
type Snapshots interface {
	// SnapshotUpTo returns the newest one that knows of no event behind seq.
	SnapshotUpTo(ctx context.Context, seq int64) (s presence.Snapshot, found bool, err error)
	// SnapshotBehind returns the oldest one of a later sweep.
	SnapshotBehind(ctx context.Context, sweep int64) (s presence.Snapshot, found bool, err error)
	// CountSnapshots counts those from one sweep to another, both included.
	CountSnapshots(ctx context.Context, first, last int64) (n int64, err error)
	// Events yields the events behind the cursor up to last, whole and in order.
	Events(ctx context.Context, behind presence.Cursor, last int64, yield func([]presence.Event) error) error
}

// states writes the states of the users with a higher number.
func (w *writer) states(ctx context.Context, behind uint32) error {
	r := w.replay
	state, seq, err := r.base(ctx)
	if err != nil {
		return err
	}
	var some []past.Change
	for no, status := range state.Users() {
		if no <= behind || !r.wants(no) {
			continue
		}
		if some = append(some, past.Change{No: no, To: status}); len(some) < sheetSize {
			continue
		}
		if err := w.sheetOfStates(ctx, seq, some); err != nil {
			return err
		}
		some = some[:0]
	}
	return w.sheetOfStates(ctx, seq, some)
}

// sheetOfStates hands out the states of some users.
func (w *writer) sheetOfStates(ctx context.Context, seq int64, some []past.Change) error {
	r := w.replay
	names, err := r.named(ctx, some)
	if err != nil {
		return err
	}
	var s sheet
	for _, c := range some {
		id, named := names[c.No]
		if !named {
			s.nameless++
			continue
		}
		m := presence.Standing{
			AppID: r.App, Log: r.LedgerLog, User: presence.User{No: c.No, ID: id}, Status: c.To, Seq: seq, At: r.At,
		}
		if err := w.add(&s, &m); err != nil {
			return err
		}
	}
	return w.hand(ctx, s)
}

// base is the state in which the replay begins, and the last event that counts.
func (r *Replay) base(ctx context.Context) (*past.State, int64, error) {
	if r.Net {
		s, err := r.snapshot(ctx, r.Sweeps[0])
		if err != nil {
			return nil, 0, err
		}
		state, err := past.Restore(&s)
		return state, s.Seq, err
	}
	state, err := StateBehind(ctx, r.Snapshots, r.First-1)
	return state, r.First - 1, err
}

// StateBehind reckons the state behind an event, as that event and those before it
// led to it. The caller has made sure that what it needs is there.
func StateBehind(ctx context.Context, from Snapshots, seq int64) (*past.State, error) {
	state, behind := past.New(), presence.Cursor{}
	s, found, err := from.SnapshotUpTo(ctx, seq)
	if err == nil && found {
		behind.Seq = s.Seq
		state, err = past.Restore(&s)
	}
	if err != nil {
		return nil, err
	}
	err = from.Events(ctx, behind, seq, func(events []presence.Event) error {
		for i := range events {
			state.Apply(&events[i].Transition)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("the state behind event %d: %w", seq, err)
	}
	return state, nil
}

// snapshot returns that of a sweep, which has to be there still.
func (r *Replay) snapshot(ctx context.Context, sweep int64) (presence.Snapshot, error) {
	s, found, err := r.Snapshots.SnapshotBehind(ctx, sweep-1)
	if err == nil && (!found || s.Sweep != sweep) {
		err = fmt.Errorf("the snapshot of sweep %d has been dropped meanwhile: start the replay again under another name", sweep)
	}
	return s, err
}

func (r *Replay) wants(no uint32) bool { return r.Users == nil || r.Users[no] }
