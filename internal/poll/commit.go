package poll

import (
	"context"
	"fmt"
	"time"

	"github.com/zim-presence/poller/presence"
)

// writer commits what has changed, under the number of a sweep.
type writer interface {
	number() int64
	commit(ctx context.Context) error
	// count is called with each answer, once it is observed; again says that it came
	// by asking again.
	count(a presence.Answer, again bool)
	// ahead returns in how long a user would be asked about by itself whose newest answer
	// was asked for then; an estimate.
	ahead(asked time.Time) time.Duration
	// spent is called with the requests of each call that asked again.
	spent(requests int)
	// doubt is called with the numbers of users of whom an answer of the sweep said
	// nothing, since it may be nonsense, before it is counted.
	doubt(users []uint32)
	// decided is called when it is decided about everybody who is gated or doubted. The
	// changes are discarded, and of all others who were gated it is believed; of the
	// doubted where believed says so.
	decided(discarded []presence.Held, believed bool)
}

// between writes what changes between two sweeps, under the number of the newest.
type between struct{ *Recorder }

func (b between) number() int64 { return b.LastSweep }

func (b between) commit(ctx context.Context) error {
	_, err := b.write(ctx, b.LastSweep)
	return err
}

func (s *sweep) number() int64 { return s.report.Sweep }

func (s *sweep) commit(ctx context.Context) error {
	transitions, err := s.write(ctx, s.report.Sweep)
	s.report.Transitions += transitions
	return err
}

// write writes what has changed, in parts where it is much: a large removal
// would not fit into the deadline of one statement, in no term ever.
func (r *Recorder) write(ctx context.Context, sweep int64) (transitions int, err error) {
	first := true
	for part := range parts(r.Memory.Take(), commitAtMost) {
		if !first && ctx.Err() != nil {
			return transitions, fmt.Errorf("%w: %w", ErrTermOver, context.Cause(ctx)) // the rest is found again
		}
		if err := r.writePart(ctx, part, sweep); err != nil {
			return transitions, err
		}
		transitions += len(part.Transitions)
		first = false
	}
	return transitions, nil
}

// writePart is not broken off when ctx ends: a commit in flight is finished.
func (r *Recorder) writePart(ctx context.Context, changes presence.Changes, sweep int64) error {
	start := time.Now()
	if err := r.Ledger.Commit(context.WithoutCancel(ctx), changes, sweep); err != nil {
		return fmt.Errorf("%w: %w", ErrTermOver, err)
	}
	r.LastSweep = sweep
	r.alive()
	if r.Committed != nil {
		r.Committed(changes, time.Since(start))
	}
	if len(changes.Held)+len(changes.Settled) > 0 {
		r.waiting()
	}
	return nil
}
