package follow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// errThere says that events that seemed to be missing can be read.
var errThere = errors.New("events that did not come are there")

// live tells events from the chain's end on, until the reading ends.
//
//	find the place ──▶ nothing missing before it? ──▶ read, judge, tell, acknowledge
func (f *Follower) live(ctx context.Context, each Each) error {
	p, err := f.locate(ctx, f.chain.seq, f.hint)
	if err != nil {
		return err
	}
	if err := f.approach(ctx, each, p); err != nil {
		return err
	}
	f.hint = p
	r, err := f.attach(ctx, each, p)
	if err != nil {
		return err
	}
	defer r.close()
	// The place is of the stream that is read, or the reading would wait for ever.
	if err := f.same(ctx, p); err != nil {
		return err
	}
	wake := time.NewTicker(f.every)
	defer wake.Stop()
	defer func() { f.leave(ctx) }()
	for {
		m, ok, err := r.next(ctx, wake.C)
		if err != nil {
			return err
		}
		if !ok {
			if err := f.look(ctx, r); err != nil {
				return err
			}
			continue
		}
		if err := f.hear(ctx, each, &m, false); err != nil {
			return err
		}
		if f.cfg.Durable != "" {
			if err := m.raw.Ack(); err != nil {
				return fmt.Errorf("acknowledge message %d of %s: %w", m.pos, f.events(), err)
			}
		}
	}
}

// attach opens the reading of the event stream.
func (f *Follower) attach(ctx context.Context, each Each, p place) (*reading, error) {
	if f.cfg.Durable != "" {
		return f.attachDurable(ctx, each, p)
	}
	return f.open(ctx, f.events(), once(p.start, f.filters()))
}

func (f *Follower) filters() []string {
	return f.subjects(presence.SubjectRoot + "." + f.app() + ".*.")
}

// same makes sure that the stream is still the one that a place is of.
func (f *Follower) same(ctx context.Context, p place) error {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stream, err := f.js.Stream(asking, f.events())
	if err == nil && !stream.CachedInfo().Created.Equal(p.created) {
		err = errors.New("it was made anew")
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", f.events(), err)
	}
	return nil
}

// approach makes sure that nothing is missing between the chain's end and the
// place where the stream goes on.
func (f *Follower) approach(ctx context.Context, each Each, p place) error {
	c := &f.chain
	if p.log != "" && c.log != "" && p.log != c.log {
		return f.anew(c.seq, p.log)
	}
	hole := presence.SeqRange{First: c.seq + 1, Last: p.first - 1}
	if p.first == 0 && p.emptied {
		// All has expired: only the bucket tells how far it went.
		newest, _, err := f.newest(ctx)
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
		hole.Last = newest
	}
	// Of some users an event in the middle may be missing that was not theirs.
	if hole.Last < hole.First || f.some && !p.nothing {
		return nil
	}
	return f.cross(ctx, each, hole, true)
}

// anew says that another event stands where the chain's end was told.
func (f *Follower) anew(seq int64, log string) error {
	return &AnewError{App: f.cfg.App, Seq: f.chain.seq, Log: f.chain.log, NewSeq: seq, NewLog: log}
}

// hear deals with one message: tells it, unless that was done or is not wanted. An
// event that was handed on before, to a program that is gone, is not told again.
func (f *Follower) hear(ctx context.Context, each Each, m *message, handed bool) error {
	e := &m.event
	if m.pos < f.hint.start {
		f.again(e)
		return nil
	}
	if f.passed(m) {
		f.hint.start = m.pos + 1
		return nil
	}
	verdict, hole := f.chain.judge(e)
	if verdict == behind {
		if err := f.cross(ctx, each, hole, false); err != nil {
			return err
		}
		verdict, _ = f.chain.judge(e)
	}
	switch verdict {
	case known:
		f.again(e)
		f.hint.start = m.pos + 1
		return nil
	case anew:
		return f.anew(e.Seq, e.Log)
	case behind:
		// Of some users: the event before was erased, and is no obstacle.
	case within:
		handed = true
	case next:
	}
	if !handed {
		if err := f.pass(ctx, each, m); err != nil {
			return err
		}
	}
	f.chain.done(e)
	f.counts.Seq.Store(e.Seq)
	f.hint.start = m.pos + 1
	return nil
}

// again counts an event that was done before.
func (f *Follower) again(e *presence.Event) {
	f.counts.heard.Add(1)
	f.counts.Known.Add(1)
	f.log.Debug("passed over what was done", "seq", e.Seq)
}

// passed counts a message, and what of it is passed over; true for one that is no
// event.
func (f *Follower) passed(m *message) bool {
	f.counts.heard.Add(1)
	switch {
	case m.foreign:
		f.counts.Foreign.Add(1)
		f.log.Warn("passed over a message that is no event", "subject", m.raw.Subject(), "message", m.pos)
	case m.strange:
		f.counts.Strange.Add(1)
		f.log.Debug("an event of a kind that this version does not know", "seq", m.event.Seq, "subject", m.raw.Subject())
	}
	return m.foreign
}

// pass tells the event if the program wants to hear of it.
func (f *Follower) pass(ctx context.Context, each Each, m *message) error {
	e := &m.event
	if e.Kind == presence.KindErased {
		return f.tellErased(ctx, each, presence.SeqRange{First: e.Seq, Last: e.Seq})
	}
	if m.strange || !f.wanted(e.User.ID) || f.kinds != nil && !f.kinds[e.Kind] {
		return nil
	}
	f.counts.Events.Add(1)
	return f.tell(ctx, each, Item{What: Event, Event: *e, Seq: e.Seq})
}

// look is done now and then while nothing comes: where only some users are read,
// the chain moves on to where the stream has come without them.
func (f *Follower) look(ctx context.Context, r *reading) error {
	if f.some {
		if err := f.advance(ctx, r); err != nil {
			return err
		}
	}
	return f.keep(ctx)
}

func (f *Follower) advance(ctx context.Context, r *reading) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	stream, err := f.js.Stream(ctx, f.events())
	if err != nil {
		return err
	}
	// First the stream's end, then whether the users' events up to it are done.
	m, err := search{f, stream}.at(ctx, stream.CachedInfo().State.LastSeq)
	if err != nil || m.event.Seq <= f.chain.seq {
		return err
	}
	if drained, err := r.drained(ctx); err != nil || !drained {
		return err
	}
	f.chain.done(&presence.Event{Log: m.event.Log, Transition: presence.Transition{Seq: m.event.Seq}})
	f.counts.Seq.Store(m.event.Seq)
	f.hint.start = m.pos + 1
	return nil
}
