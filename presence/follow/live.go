package follow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zim-presence/poller/presence"
)

// errThere says that events that seemed to be missing can be read.
var errThere = errors.New("events that did not come are there")

// live tells events from the chain's end on, until the reading ends.
//
//	find the place ──▶ nothing missing before it? ──▶ read, judge, tell, acknowledge
func (f *Follower) live(ctx context.Context, each telling) error {
	p, err := f.locate(ctx, f.chain.seq, f.hint)
	if err != nil {
		return err
	}
	if err := f.approach(ctx, p); err != nil {
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
	if err := f.tellErased(ctx, each); err != nil {
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
			if err := f.look(ctx, each); err != nil {
				return err
			}
			continue
		}
		if err := f.hear(ctx, each, &m, asEvent); err != nil {
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
func (f *Follower) attach(ctx context.Context, each telling, p place) (*reading, error) {
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
func (f *Follower) approach(ctx context.Context, p place) error {
	c := &f.chain
	if !c.agrees(p.before, p.log) {
		return f.anew(p.before, p.log)
	}
	if p.before == c.seq && p.before > 0 {
		c.log = p.log
		c.saw(p.log)
	}
	hole := presence.SeqRange{First: c.seq + 1, Last: p.first - 1}
	if p.first == 0 && p.emptied {
		// All has expired: only the bucket tells how far it went.
		newest, err := f.bucketNewest(ctx)
		if err != nil {
			return err
		}
		hole.Last = newest
	}
	if hole.Last < hole.First {
		return nil
	}
	if f.some {
		// In the middle of the stream what is missing may not be theirs, and prev_seq
		// tells. Where all before is gone, only the bucket does.
		if !p.nothing {
			return nil
		}
		if quiet, err := f.untouched(ctx, hole); quiet || err != nil {
			return err
		}
	}
	return f.cross(ctx, hole, true)
}

// anew says that another event stands where the chain's end was told.
func (f *Follower) anew(seq int64, log string) error {
	return &AnewError{App: f.cfg.App, Seq: f.chain.seq, Log: f.chain.log, NewSeq: seq, NewLog: log}
}

// manner is how an event is told.
type manner uint8

const (
	asEvent manner = iota
	asState
	untold // because it was, or the state has it
)

// hear deals with one message: tells it, unless that was done or is not wanted.
func (f *Follower) hear(ctx context.Context, each telling, m *message, how manner) error {
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
		if err := f.cross(ctx, hole, false); err != nil {
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
		how = untold
	case next:
	}
	if err := f.pass(each, m, how); err != nil {
		return err
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
func (f *Follower) pass(each telling, m *message, how manner) error {
	e := &m.event
	if e.Kind == presence.KindErased {
		f.counts.Erased.Add(1)
		return nil
	}
	switch how {
	case untold:
		return nil
	case asState:
		return f.tellState(each, m)
	case asEvent:
	}
	if m.strange || !f.wanted(e.User.ID) || f.kinds != nil && !f.kinds[e.Kind] {
		return nil
	}
	f.counts.Events.Add(1)
	return f.tell(each, Item{What: Event, Event: *e, Seq: e.Seq})
}

// look is done now and then: what was erased is told, the place is written down,
// and where only some users are read, the chain moves on to where the stream has
// come without them.
func (f *Follower) look(ctx context.Context, each telling) error {
	if err := f.tellErased(ctx, each); err != nil {
		return err
	}
	if f.some {
		if err := f.advance(ctx); err != nil {
			return err
		}
	}
	return f.keep(ctx)
}
