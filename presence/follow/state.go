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
	// chain is as of the bucket's last event before it was read: whoever changed
	// since stands in the event stream behind that.
	chain  chain
	newest int64 // the highest number that was read
	// users holds what told each user's state, where it is needed: where the bucket
	// did not ascend, and where too little of it is read to see that.
	users map[string]standpoint
	// stoodAt is where the bucket stood when it was last found to end too early,
	// and stoodSince since when.
	stoodAt    uint64
	stoodSince time.Time
}

// errMoved says that the bucket cannot be read on from where the reading was.
var errMoved = errors.New("the bucket was made anew, or is being filled anew")

// state tells the state: what the bucket holds, and what the event stream has added
// to it meanwhile.
//
//	note the bucket's last event ──▶ read the bucket ──▶ does the event stream join?
//	        ▲                                                │ not yet       │ yes
//	        └────────────────────────────────────────────────┘               ▼
//	                          Current ◀── read the events up to the stream's end
//
// The bucket alone would not do: a user who changes while it is read may have gone
// from where the reading comes, to where it does not come any more. So the events
// since its end was noted are read as well, as state. What is told is exact as of
// the last of them, and that end is noted once: a busy app cannot hold it up.
//
// Where the bucket is filled anew, it goes back in time; then each user's place is
// kept, so that no event is told a second time.
func (f *Follower) state(ctx context.Context, each telling) error {
	if f.standing == nil {
		if err := f.reset(each, f.some); err != nil {
			return err
		}
	}
	for {
		err := f.readBucket(ctx, each, f.standing)
		switch {
		case errors.Is(err, errMoved):
			f.log.Debug("the state begins again", "err", err)
			err = f.reset(each, true)
		case errors.Is(err, errReplica):
			err = nil // a little later it reads on
		case err == nil:
			var p place
			var joins bool
			if p, joins, err = f.joins(ctx, f.standing); joins {
				return f.complete(ctx, each, f.standing, p)
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
	if (errors.As(err, new(*GapError)) || errors.As(err, new(*AnewError))) && time.Since(s.stoodSince) < stuck {
		return nil
	}
	return err
}

// reset tells that the state begins.
func (f *Follower) reset(each telling, keep bool) error {
	f.standing = &standing{}
	if keep {
		f.standing.users = map[string]standpoint{}
	}
	f.counts.Resets.Add(1)
	return f.tell(each, Item{What: Reset, Why: f.why})
}

// readBucket tells what the bucket holds behind what was read of it.
func (f *Follower) readBucket(ctx context.Context, each telling, s *standing) error {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stream, err := f.js.Stream(asking, f.bucket())
	if errors.Is(err, jetstream.ErrStreamNotFound) && s.created.IsZero() {
		return nil // none yet: the event stream may have everything
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", f.bucket(), err)
	}
	info := stream.CachedInfo()
	if s.created.IsZero() {
		s.created, s.begun = info.Created, info.State.LastSeq
	}
	if !s.created.Equal(info.Created) {
		return errMoved
	}
	newest, err := f.newest(ctx, info.State.LastSeq)
	if err != nil {
		return err
	}
	s.chain.seq, s.chain.log = newest.event.Seq, newest.event.Log
	sure := func() error { return nil }
	take := func(m *message) error { return f.stand(each, s, m) }
	mark := ""
	if newest.raw != nil {
		mark = newest.raw.Subject()
	}
	met, err := f.readAll(ctx, f.bucket(), s.pos+1, newest.pos, f.keys(), mark, sure, take)
	if err == nil && !met {
		err = errReplica // or its user has changed: the bucket has another end then
	}
	return err
}

// keys are the bucket's subjects of the users whom the server picks out.
func (f *Follower) keys() []string { return f.subjects("$KV.presence_" + f.app() + ".") }

// stand tells one user's state.
func (f *Follower) stand(each telling, s *standing, m *message) error {
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
	if s.users != nil {
		s.users[e.User.ID] = standpoint{e.Seq, e.ObservedAt}
	}
	if e.To == presence.Unknown && m.pos <= s.begun {
		return nil // removed or stale before the reading began, and so not told before
	}
	return f.tellState(each, m)
}

// tellState tells a user's state if the program wants to hear of the user.
func (f *Follower) tellState(each telling, m *message) error {
	if m.event.Kind == presence.KindErased || m.strange && !m.plain || !f.wanted(m.event.User.ID) {
		return nil
	}
	f.counts.States.Add(1)
	return f.tell(each, Item{What: State, Event: m.event})
}

// joins tells whether the event stream goes on where the bucket ended, and where.
// While the bucket trails so far that it does not, the error says what is between.
func (f *Follower) joins(ctx context.Context, s *standing) (place, bool, error) {
	p, err := f.locate(ctx, s.chain.seq, place{})
	if err != nil {
		return p, false, err
	}
	if !s.chain.agrees(p.before, p.log) {
		return p, false, &AnewError{App: f.cfg.App, Seq: s.chain.seq, Log: s.chain.log, NewSeq: p.before, NewLog: p.log}
	}
	if p.first == 0 {
		// A stream that has held events, and no state: the bucket is being made anew.
		return p, !p.emptied || s.chain.seq > 0, nil
	}
	hole := presence.SeqRange{First: s.chain.seq + 1, Last: p.first - 1}
	if left, err := f.unexplained(ctx, hole); err != nil || len(left) == 0 {
		return p, err == nil, err
	}
	return p, false, &GapError{App: f.cfg.App, First: hole.First, Last: hole.Last}
}

// complete reads the events that came meanwhile, tells that the state is complete,
// and begins the chain there.
func (f *Follower) complete(ctx context.Context, each telling, s *standing, p place) error {
	f.chain, f.hint = s.chain, p
	f.chain.some = f.some
	for id, at := range s.users {
		if at.seq > s.chain.seq {
			if f.chain.ahead == nil {
				f.chain.ahead = map[string]standpoint{}
			}
			f.chain.ahead[id] = at
		}
	}
	if p.start <= p.end {
		if err := f.readTo(ctx, p, p.end, func(m *message) error { return f.hear(ctx, each, m, asState) }); err != nil {
			return err
		}
	}
	if err := f.skip(ctx, p.end); err != nil {
		return err
	}
	if err := f.tell(each, Item{What: Current, Seq: f.chain.seq}); err != nil {
		return err
	}
	f.begin(f.chain)
	return f.keep(ctx)
}

// newest returns the last event that the bucket holds, which ends with message last
// or a later one; its number is 0 where there is none. What is foreign at its end is
// passed over.
func (f *Follower) newest(ctx context.Context, last uint64) (m message, err error) {
	for _, start := range []uint64{last - min(last, 100) + 1, 1} {
		if m, err = f.newestFrom(ctx, start); m.pos > 0 || err != nil {
			break
		}
	}
	return m, err
}

func (f *Follower) newestFrom(ctx context.Context, start uint64) (last message, err error) {
	r, err := f.open(ctx, f.bucket(), once(start, nil))
	if err != nil {
		return last, err
	}
	defer r.close()
	err = r.toEnd(ctx, math.MaxUint64, func(m *message) error {
		if !m.foreign {
			last = *m
		}
		return nil
	})
	return last, err
}

// bucketNewest returns the number of the last event that the bucket holds; 0 where
// there is none.
func (f *Follower) bucketNewest(ctx context.Context) (int64, error) {
	m, err := f.bucketEnd(ctx)
	return m.event.Seq, err
}

// bucketEnd is the message of it.
func (f *Follower) bucketEnd(ctx context.Context) (message, error) {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stream, err := f.js.Stream(asking, f.bucket())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return message{}, nil
	}
	if err != nil {
		return message{}, fmt.Errorf("read %s: %w", f.bucket(), err)
	}
	return f.newest(ctx, stream.CachedInfo().State.LastSeq)
}

// untouched tells whether a hole at the beginning of the stream has no event of the
// users who are read, as far as the bucket shows: each one's last event is from
// before it, or follows one from before it.
func (f *Follower) untouched(ctx context.Context, hole presence.SeqRange) (bool, error) {
	newest, err := f.bucketEnd(ctx)
	if err != nil || newest.event.Seq < hole.Last {
		return false, err
	}
	shown := map[string]bool{}
	sure := func() error { return nil }
	met, err := f.readAll(ctx, f.bucket(), 1, newest.pos, f.keys(), newest.raw.Subject(), sure, func(m *message) error {
		e := &m.event
		shown[e.User.ID] = !m.foreign && (e.Seq < hole.First || e.Seq > hole.Last && e.PrevSeq < hole.First)
		return nil
	})
	if err == nil && !met {
		err = errReplica
	}
	for id := range f.users {
		if !shown[id] {
			return false, err
		}
	}
	return true, err
}
