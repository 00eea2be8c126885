package replay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/zim-presence/poller/internal/past"
	"github.com/zim-presence/poller/presence"
)

// Names says whose the numbers are, and when they were seen.
type Names interface {
	// NamesOf returns the ids of users, as far as they have one.
	NamesOf(ctx context.Context, numbers []uint32) (map[uint32]string, error)
	// LastSeen returns when the newest kept sweep began, up to a given one, in which
	// each user was not missed, as far as there is one.
	LastSeen(ctx context.Context, sweep int64, users []uint32) (map[uint32]time.Time, error)
}

// between is two snapshots that follow each other.
type between struct{ first, second *presence.Snapshot }

// changes writes the net changes behind one.
func (w *writer) changes(ctx context.Context, at place) error {
	r := w.replay
	first, err := r.snapshot(ctx, max(at.sweeps[0], r.Sweeps[0]))
	if err != nil {
		return err
	}
	if at.sweeps[0] > 0 { // in the middle between two
		if _, err := r.snapshot(ctx, at.sweeps[1]); err != nil {
			return err
		}
	}
	state, err := past.Restore(&first)
	if err != nil {
		return err
	}
	for first.Sweep < r.Sweeps[1] {
		second, found, err := r.Snapshots.SnapshotBehind(ctx, first.Sweep)
		if err != nil {
			return err
		}
		if !found || second.Sweep > r.Sweeps[1] {
			return fmt.Errorf("the snapshot of sweep %d has been dropped meanwhile: start the replay again under another name", r.Sweeps[1])
		}
		next, err := past.Restore(&second)
		if err != nil {
			return err
		}
		var behind uint32
		if first.Sweep == at.sweeps[0] {
			behind = at.user
		}
		if err := w.changesBetween(ctx, between{&first, &second}, r.changed(state, next, behind)); err != nil {
			return err
		}
		first, state = second, next
	}
	return nil
}

// changed returns the wanted changes of users with a higher number.
func (r *Replay) changed(from, to *past.State, behind uint32) []past.Change {
	var changed []past.Change
	for c := range past.Changes(from, to) {
		if c.No > behind && r.wants(c.No) && (len(r.Kinds) == 0 || slices.Contains(r.Kinds, c.Kind())) {
			changed = append(changed, c)
		}
	}
	return changed
}

func (w *writer) changesBetween(ctx context.Context, b between, changed []past.Change) error {
	for some := range slices.Chunk(changed, sheetSize) {
		s, err := w.sheetOfChanges(ctx, b, some)
		if err != nil {
			return err
		}
		if err := w.hand(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) sheetOfChanges(ctx context.Context, b between, some []past.Change) (s sheet, err error) {
	r := w.replay
	names, err := r.named(ctx, some)
	if err != nil {
		return s, err
	}
	after, err := r.after(ctx, b.first, some)
	if err != nil {
		return s, err
	}
	for _, c := range some {
		id, named := names[c.No]
		if !named {
			s.nameless++
			continue
		}
		m := presence.NetChange{
			AppID: r.App, Log: r.LedgerLog, User: presence.User{No: c.No, ID: id}, Kind: c.Kind(), From: c.From, To: c.To,
			After: after[c.No], ObservedAt: b.second.Finished, Sweeps: [2]int64{b.first.Sweep, b.second.Sweep},
		}
		if err := w.add(&s, &m); err != nil {
			return s, err
		}
	}
	return s, nil
}

// after tells of each user of whom something was known behind when the change
// happened: the beginning of the newest sweep that saw the user. Whatever the user
// was seen as then, the change to what the second snapshot says came later.
func (r *Replay) after(ctx context.Context, first *presence.Snapshot, some []past.Change) (map[uint32]time.Time, error) {
	after := make(map[uint32]time.Time, len(some))
	var missed []uint32
	for _, c := range some {
		if c.From == presence.Unknown {
			continue
		}
		if _, miss := slices.BinarySearch(first.Missed, c.No); miss {
			missed = append(missed, c.No)
			continue
		}
		after[c.No] = first.Started
	}
	if len(missed) == 0 {
		return after, nil
	}
	seen, err := r.Names.LastSeen(ctx, first.Sweep, missed)
	for no, at := range seen {
		after[no] = at
	}
	return after, err
}

// named returns the ids of users.
func (r *Replay) named(ctx context.Context, some []past.Change) (map[uint32]string, error) {
	if len(some) == 0 {
		return nil, nil
	}
	numbers := make([]uint32, len(some))
	for i, c := range some {
		numbers[i] = c.No
	}
	return r.Names.NamesOf(ctx, numbers)
}
