package follow

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// advance moves the chain to where the stream has come without the users who are read.
func (f *Follower) advance(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	stream, err := f.js.Stream(asking, f.events())
	if err != nil {
		return err
	}
	// The stream's end comes first, and then whether the users have events behind the
	// last that was done.
	last := stream.CachedInfo().State.LastSeq
	if last < f.hint.start {
		return nil
	}
	mark, err := f.subjectOf(ctx, last)
	if err != nil || mark == "" {
		return err
	}
	met, err := f.readAll(ctx, f.events(), f.hint.start, last, f.filters(), mark, func() error { return nil }, func(m *message) error {
		if !m.foreign && f.wanted(m.event.User.ID) {
			return errToCome
		}
		return nil
	})
	if errors.Is(err, errToCome) || err == nil && !met {
		return nil
	}
	if err != nil {
		return err
	}
	return f.skip(ctx, stream.CachedInfo().State.LastSeq)
}

// skip moves the chain to an event of the stream, where only some users are read
// and all that theirs are up to there is done.
func (f *Follower) skip(ctx context.Context, pos uint64) error {
	if !f.some || pos < f.hint.start {
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	stream, err := f.js.Stream(asking, f.events())
	if err != nil || !stream.CachedInfo().Created.Equal(f.hint.created) {
		return err
	}
	m, err := search{f, stream}.at(asking, pos)
	if err != nil || m.pos != pos || m.event.Seq <= f.chain.seq {
		return err
	}
	f.chain.done(&presence.Event{Log: m.event.Log, Transition: presence.Transition{Seq: m.event.Seq}})
	f.counts.Seq.Store(m.event.Seq)
	f.hint.start = pos + 1
	return nil
}

// readTo reads the event stream from a place up to a message, or to its end where
// that message is gone.
func (f *Follower) readTo(ctx context.Context, p place, last uint64, take func(*message) error) error {
	mark, err := f.subjectOf(ctx, last)
	if err != nil {
		return err
	}
	met, err := f.readAll(ctx, f.events(), p.start, last, f.filters(), mark, func() error { return f.same(ctx, p) }, func(m *message) error {
		if f.some && !m.foreign && !f.wanted(m.event.User.ID) {
			return nil
		}
		return take(m)
	})
	if err == nil && !met {
		err = f.gone(ctx, f.events(), last)
	}
	return err
}

var errToCome = errors.New("an event is still to come")

// subjectOf is the subject of a message of the event stream, "" where it is gone.
func (f *Follower) subjectOf(ctx context.Context, pos uint64) (string, error) {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stream, err := f.js.Stream(asking, f.events())
	if err != nil {
		return "", err
	}
	raw, err := stream.GetMsg(asking, pos)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return "", f.gone(ctx, f.events(), pos)
	}
	if err != nil {
		return "", err
	}
	return raw.Subject, nil
}
