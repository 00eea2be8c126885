package follow

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// stuck is how long the bucket may stand still while the event stream begins
// behind its end.
const stuck = 30 * time.Second

// standing is the state as far as it was read.
type standing struct {
	created time.Time // of the bucket's stream, zero where there is none
	begun   uint64    // the bucket's last message when the reading began
	pos     uint64    // the last message that was read
	chain   chain     // as of the last event that was read
	newest  int64     // the highest number that was read
	// users holds the last event of each user, where it is needed: where only some
	// users are read, and where the bucket did not ascend.
	users map[string]int64
	// stoodAt is where the bucket stood when it was last found to end too early,
	// and stoodSince since when.
	stoodAt    uint64
	stoodSince time.Time
}

// errMoved says that the bucket cannot be read on from where the reading was.
var errMoved = errors.New("the bucket was made anew, or is being filled anew")

// state tells the state: all that the bucket holds, up to its end.
//
//	read the bucket to its end ──▶ does the event stream join? ──▶ Current
//	        ▲                                  │ not yet
//	        └──────────────────────────────────┘
//
// As of the bucket's last event the state is exact: whoever changed while it was
// read was read again behind. Where the bucket is filled anew, it goes back in
// time; then each user's place is kept, so that no event is told a second time.
func (f *Follower) state(ctx context.Context, each Each) error {
	if f.standing == nil {
		if err := f.reset(ctx, each, f.some); err != nil {
			return err
		}
	}
	for {
		err := f.readBucket(ctx, each, f.standing)
		if errors.Is(err, errMoved) {
			f.log.Debug("the state begins again", "err", err)
			err = f.reset(ctx, each, true)
		} else if err == nil {
			var joins bool
			if joins, err = f.joins(ctx, f.standing); joins {
				return f.complete(ctx, each, f.standing)
			}
			err = f.standing.trails(err)
		}
		if err != nil {
			return err
		}
		if !pause(ctx, 2*shortPause) {
			return ctx.Err()
		}
	}
}

// trails waits out what is missing between bucket and event stream as long as the
// bucket moves; other errors it returns.
func (s *standing) trails(err error) error {
	if s.pos != s.stoodAt || s.stoodSince.IsZero() {
		s.stoodAt, s.stoodSince = s.pos, time.Now()
	}
	if errors.As(err, new(*GapError)) && time.Since(s.stoodSince) < stuck {
		return nil
	}
	return err
}

// reset tells that the state begins.
func (f *Follower) reset(ctx context.Context, each Each, keep bool) error {
	f.standing = &standing{}
	if keep {
		f.standing.users = map[string]int64{}
	}
	f.counts.Resets.Add(1)
	return f.tell(ctx, each, Item{What: Reset, Why: f.why})
}

// readBucket tells what the bucket holds behind what was read of it.
func (f *Follower) readBucket(ctx context.Context, each Each, s *standing) error {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stream, err := f.js.Stream(asking, f.bucket())
	if errors.Is(err, jetstream.ErrStreamNotFound) && s.created.IsZero() {
		return nil // none yet: there is nothing to tell if the event stream has everything
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", f.bucket(), err)
	}
	created := stream.CachedInfo().Created
	if s.created.IsZero() {
		s.created, s.begun = created, stream.CachedInfo().State.LastSeq
	}
	if !s.created.Equal(created) {
		return errMoved
	}
	if f.some {
		// Before the users are read: they are then at least as new.
		if s.chain.seq, s.chain.log, err = f.newest(ctx); err != nil {
			return err
		}
	}
	// A message that says that none is behind it may say so a moment too early: the
	// server counts on while it stores. One of those behind may be of a user whose
	// earlier message was gone before it was read, and who would be missing. A new
	// consumer begins with an exact count.
	for {
		more, err := f.readOn(ctx, each, s)
		if err != nil || !more {
			return err
		}
	}
}

// readOn tells what the bucket holds now behind what was read of it, if there is
// more.
func (f *Follower) readOn(ctx context.Context, each Each, s *standing) (more bool, err error) {
	r, err := f.open(ctx, f.bucket(), once(s.pos+1, f.subjects("$KV.presence_"+f.app()+".")))
	if err != nil {
		return false, err
	}
	defer r.close()
	return r.pending > 0, r.toEnd(ctx, math.MaxUint64, func(m *message) error { return f.stand(ctx, each, s, m) })
}

// stand tells one user's state.
func (f *Follower) stand(ctx context.Context, each Each, s *standing, m *message) error {
	s.pos = m.pos
	if f.passed(m) {
		return nil
	}
	e := &m.event
	s.chain.saw(e.Log)
	if e.Seq < s.newest && s.users == nil {
		return errMoved
	}
	s.newest = max(s.newest, e.Seq)
	if !f.some {
		s.chain.seq, s.chain.log = e.Seq, e.Log
	}
	if s.users != nil {
		s.users[e.User.ID] = e.Seq
	}
	if e.Kind == presence.KindErased || m.strange && !m.plain || !f.wanted(e.User.ID) {
		return nil
	}
	if e.To == presence.Unknown && m.pos <= s.begun {
		return nil // removed before the reading began, and so not told before
	}
	f.counts.States.Add(1)
	return f.tell(ctx, each, Item{What: State, Event: m.event})
}

// joins tells whether the event stream goes on where the state ends. While the
// bucket trails so far that it does not, the error says what is between.
func (f *Follower) joins(ctx context.Context, s *standing) (bool, error) {
	p, err := f.locate(ctx, s.chain.seq, place{})
	if err != nil {
		return false, err
	}
	if p.first == 0 {
		// A stream that has held events, and no state: the bucket is being made anew.
		return !p.emptied || s.chain.seq > 0, nil
	}
	hole := presence.SeqRange{First: s.chain.seq + 1, Last: p.first - 1}
	if left, err := f.unexplained(ctx, hole); err != nil || len(left) == 0 {
		return err == nil, err
	}
	return false, &GapError{App: f.cfg.App, First: hole.First, Last: hole.Last}
}

// complete tells that the state is complete, and begins the chain there.
func (f *Follower) complete(ctx context.Context, each Each, s *standing) error {
	c := s.chain
	for id, seq := range s.users {
		if seq > c.seq {
			if c.ahead == nil {
				c.ahead = map[string]int64{}
			}
			c.ahead[id] = seq
		}
	}
	if err := f.tell(ctx, each, Item{What: Current, Seq: c.seq}); err != nil {
		return err
	}
	f.begin(c)
	return f.keep(ctx)
}

// newest returns the last event that the bucket holds; 0 for none. What is foreign
// at its end is passed over.
func (f *Follower) newest(ctx context.Context) (seq int64, log string, err error) {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stream, err := f.js.Stream(asking, f.bucket())
	if err != nil {
		return 0, "", fmt.Errorf("read %s: %w", f.bucket(), err)
	}
	last := stream.CachedInfo().State.LastSeq
	for _, start := range []uint64{last - min(last, 100) + 1, 1} {
		if seq, log, err = f.newestFrom(ctx, start); seq > 0 || err != nil {
			break
		}
	}
	return seq, log, err
}

func (f *Follower) newestFrom(ctx context.Context, start uint64) (seq int64, log string, err error) {
	r, err := f.open(ctx, f.bucket(), once(start, nil))
	if err != nil {
		return 0, "", err
	}
	defer r.close()
	err = r.toEnd(ctx, math.MaxUint64, func(m *message) error {
		if !m.foreign {
			seq, log = m.event.Seq, m.event.Log
		}
		return nil
	})
	return seq, log, err
}
