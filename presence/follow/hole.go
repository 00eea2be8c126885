package follow

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// cross goes over a hole in the numbers: all of it has to be told to be erased.
// What else is missing is a *[GapError], or errThere where it can be read after
// all. Who has just looked is sure that it cannot.
func (f *Follower) cross(ctx context.Context, each telling, hole presence.SeqRange, how manner, sure bool) error {
	left, err := f.unexplained(ctx, hole)
	if err != nil {
		return err
	}
	if len(left) == 0 {
		if f.some {
			return nil // the numbers between are of others
		}
		if err := f.tellErased(ctx, each, hole, how); err != nil {
			return err
		}
		f.chain.seq = hole.Last
		f.counts.Seq.Store(hole.Last)
		return nil
	}
	if !sure {
		p, err := f.locate(ctx, left[0].First-1, place{})
		if err != nil {
			return err
		}
		if p.first >= left[0].First && p.first <= left[0].Last {
			return errThere
		}
	}
	return &GapError{App: f.cfg.App, First: left[0].First, Last: left[len(left)-1].Last}
}

// unexplained is what of a hole nobody has told to be erased.
func (f *Follower) unexplained(ctx context.Context, hole presence.SeqRange) (presence.SeqSet, error) {
	left := presence.NewSeqSet(hole).Without(f.erased)
	if len(left) == 0 {
		return nil, nil
	}
	told, err := f.readErased(ctx)
	if err != nil {
		return nil, err
	}
	f.erased = f.erased.Union(told)
	return left.Without(f.erased), nil
}

// readErased reads what was told to be erased: before it is deleted, so that who
// finds a hole finds it told.
func (f *Follower) readErased(ctx context.Context) (presence.SeqSet, error) {
	var told presence.SeqSet
	r, err := f.open(ctx, f.words(), once(1, []string{presence.ControlSubject(f.cfg.App, presence.ErasedWord)}))
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, nil
	case err != nil && f.refused(f.words()):
		f.log.Warn("may not read what was told to be erased: every hole is a gap", "err", err)
		return nil, nil
	case err != nil:
		return nil, err
	}
	defer r.close()
	err = r.toEnd(ctx, math.MaxUint64, func(m *message) error {
		erased, err := presence.ParseErased(m.raw.Data())
		if err != nil || erased.AppID != f.cfg.App {
			f.log.Warn("passed over a message that does not tell what was erased", "message", m.pos, "err", err)
			return nil
		}
		told = told.Union(erased.Seqs)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.words(), err)
	}
	return told, nil
}

// refused tells whether the server has last refused something about a stream.
func (f *Follower) refused(stream string) bool {
	err := f.js.Conn().LastError()
	return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), stream)
}

// tellErased counts numbers whose events were erased, and tells them if that is
// wanted.
func (f *Follower) tellErased(ctx context.Context, each telling, run presence.SeqRange, how manner) error {
	f.counts.Erased.Add(run.Last - run.First + 1)
	f.log.Debug("erased", "first", run.First, "last", run.Last)
	if !f.cfg.TellErased || how != asEvent {
		return nil
	}
	return f.tell(each, Item{What: Erased, First: run.First, Seq: run.Last})
}
