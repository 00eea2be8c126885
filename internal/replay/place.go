package replay

import (
	"context"
	"fmt"

	"github.com/zim-presence/poller/presence"
)

// place is behind which message a replay stands: the state of a user, an event, or
// a net change. The zero value is that before the first state.
type place struct {
	part   part
	user   uint32   // of the state, or of the net change
	seq    int64    // of the event
	sweeps [2]int64 // of the net change
}

// part is of what kind the messages are.
type part int

const (
	states part = iota
	events
	changes
)

// beginning is before the first message of all.
func (r *Replay) beginning() place {
	if r.WithState {
		return place{}
	}
	return r.behindStates()
}

// behindStates is before the first message that is no state.
func (r *Replay) behindStates() place {
	if r.Net {
		return place{part: changes, sweeps: [2]int64{0, r.Sweeps[0]}}
	}
	return place{part: events, seq: r.First - 1}
}

// placeOf is behind a message.
func placeOf(m *presence.Retold) (place, error) {
	if m.Seq > 0 {
		return place{part: events, seq: m.Seq}, nil
	}
	if s, err := presence.ParseStanding(m.Data); err == nil {
		return place{part: states, user: s.User.No}, nil
	}
	n, err := presence.ParseNetChange(m.Data)
	if err != nil {
		return place{}, fmt.Errorf("message %d of the replay: %w", m.Position, err)
	}
	return place{part: changes, user: n.User.No, sweeps: n.Sweeps}, nil
}

// stand finds the place where the replay stands, and sets the report's Told to how
// many messages have been told. skip is how many of these are behind the place: they
// have to be passed over.
//
// What stood behind the newest message that can be read was erased, so that the
// ledger no longer has it.
func (r *Replay) stand(ctx context.Context) (at place, skip int64, err error) {
	end, err := r.Teller.End(ctx)
	if err != nil {
		return place{}, 0, err
	}
	row := r.report
	if end.Counted {
		r.report.Told = end.Told
	}
	switch {
	case end.Last.Position > 0:
		at, err = placeOf(&end.Last)
	case r.report.Told == 0:
		at = r.beginning()
	case row.Told <= r.report.Told && row.Seq >= r.First && !r.Net:
		at, skip = place{part: events, seq: row.Seq}, r.report.Told-row.Told
	default:
		at, skip = r.beginning(), r.report.Told
	}
	if at.part == events {
		r.report.Seq = at.seq
	}
	if err == nil && skip > 0 {
		err = r.countable(ctx)
	}
	return at, skip, err
}

// countable returns an error where the messages that were told cannot be counted
// again: without somebody who was erased, or without a snapshot in the middle, they
// would be others.
func (r *Replay) countable(ctx context.Context) error {
	erased, err := r.Book.Erased(ctx)
	if err == nil && erased {
		err = ErrCannotCount
	}
	if err != nil || !r.Net {
		return err
	}
	kept, err := r.Snapshots.CountSnapshots(ctx, r.Sweeps[0], r.Sweeps[1])
	if err == nil && kept != r.Kept {
		err = ErrCannotCount
	}
	return err
}
