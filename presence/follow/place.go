package follow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// place is where in the event stream to go on behind an event.
type place struct {
	created time.Time // of the stream: one made anew counts from 1 again
	start   uint64    // the message to begin with
	end     uint64    // the stream's last message, when it was looked at
	// first is the number of the event there, 0 where none is yet.
	first int64
	// before and log are the number of the event before, and what its id says; 0 and
	// "" where that is gone.
	before int64
	log    string
	// nothing before start is left in the stream.
	nothing bool
	// emptied: the stream has held messages and has none.
	emptied bool
}

// locate finds the first event behind seq. Within one stream the numbers ascend,
// so it looks at hint first, the place of seq as far as is known, and else halves
// the stream. A replica that is behind can make it start early, never late.
func (f *Follower) locate(ctx context.Context, seq int64, hint place) (place, error) {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stream, err := f.js.Stream(asking, f.events())
	if err != nil {
		return place{}, fmt.Errorf("find event %d in %s: %w", seq, f.events(), err)
	}
	info := stream.CachedInfo()
	p := place{created: info.Created, start: info.State.LastSeq + 1, end: info.State.LastSeq, nothing: true, emptied: info.State.LastSeq > 0 && info.State.Msgs == 0}
	if info.State.Msgs == 0 {
		return p, nil
	}
	search := search{f, stream}
	low, high := info.State.FirstSeq, p.start
	if hint.created.Equal(p.created) && hint.start > low && hint.start <= high {
		if m, err := search.at(ctx, hint.start-1); err != nil {
			return place{}, fmt.Errorf("find event %d in %s: %w", seq, f.events(), err)
		} else if m.pos == hint.start-1 && m.event.Seq == seq {
			low, high = hint.start, hint.start
		}
	}
	for low < high {
		middle := low + (high-low)/2
		m, err := search.at(ctx, middle)
		if err != nil {
			return place{}, fmt.Errorf("find event %d in %s: %w", seq, f.events(), err)
		}
		if m.pos == 0 || m.pos >= high || m.event.Seq > seq {
			high = middle
		} else {
			low = m.pos + 1
		}
	}
	p.start, p.nothing = low, low == info.State.FirstSeq
	return p, search.around(ctx, &p)
}

// search reads single messages of a stream.
type search struct {
	f      *Follower
	stream jetstream.Stream
}

// at returns the first event at or behind a place; pos is 0 where there is none.
func (s search) at(ctx context.Context, pos uint64) (message, error) {
	for {
		asking, cancel := context.WithTimeout(ctx, patience)
		raw, err := s.stream.GetMsg(asking, pos, jetstream.WithGetMsgSubject(">"))
		cancel()
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return message{}, nil
		}
		if err != nil {
			return message{}, err
		}
		m := decode(s.f.cfg.App, raw.Header, raw.Data)
		if m.pos = raw.Sequence; !m.foreign {
			return m, nil
		}
		pos = raw.Sequence + 1
	}
}

// around adds what stands on both sides of the start.
func (s search) around(ctx context.Context, p *place) error {
	m, err := s.at(ctx, p.start)
	if err != nil {
		return err
	}
	p.first = m.event.Seq
	if p.start <= 1 {
		return nil
	}
	if m, err = s.at(ctx, p.start-1); err == nil && m.pos > 0 && m.pos < p.start {
		p.before, p.log = m.event.Seq, m.event.Log
	}
	return err
}
