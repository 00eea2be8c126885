package follow_test

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
	"github.com/zim-presence/poller/presence/follow"
)

// producing tells random events until the returned function is called.
func (r *rig) producing(crowd int) (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			r.told(r.some(1+rand.IntN(40), crowd)...)
		}
	})
	return func() { cancel(); running.Wait() }
}

// Many followers of all sorts begin at random moments, while events are told and
// the server restarts. Each knows everybody as they are in the end, has heard of
// each change from the status that it knew, and of none twice.
func TestLateJoins(t *testing.T) {
	r := newRig(t)
	stop := r.producing(60)
	var joined []*program
	for n := range 40 {
		if n%13 == 12 {
			r.server.Restart()
		}
		cfg := follow.Config{}
		if n%4 == 3 {
			cfg.Durable = "late-" + string(rune('a'+n/4))
		}
		joined = append(joined, r.program(cfg))
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
	}
	stop()
	for _, p := range joined {
		p.reaches(r)
		if n := len(p.heard(follow.Reset)); n != 1 {
			t.Errorf("the state was told %d times, want 1", n)
		}
	}
}

// Some users are followed while everybody changes, and while the connection
// breaks.
func TestLateJoinsOfSome(t *testing.T) {
	r := newRig(t)
	stop := r.producing(30)
	var joined []*program
	want := map[string]bool{}
	for i := range 7 {
		want[userN(i)] = true
	}
	var users []string
	for id := range want {
		users = append(users, id)
	}
	for n := range 12 {
		if n == 6 {
			r.server.Restart()
		}
		joined = append(joined, r.program(follow.Config{Users: users}))
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
	}
	stop()
	r.told(r.flip(userN(0)))
	truth := r.truth()
	maps.DeleteFunc(truth, func(id string, _ presence.Status) bool { return !want[id] })
	for _, p := range joined {
		p.upTo(r.seq())
		p.faultless()
		if status, _, _ := p.snapshot(); !maps.Equal(status, truth) {
			t.Errorf("%v, want %v", status, truth)
		}
	}
}

// The event stream is deleted and made anew, by and by with all that was in it:
// followers go on, and those that join while the bucket goes back in time know the
// truth as well.
func TestTheStreamIsFilledAnew(t *testing.T) {
	r := newRig(t)
	r.told(r.some(2000, 50)...)
	r.settled()
	early := r.program(follow.Config{})
	early.upTo(2000)
	if err := r.js.DeleteStream(t.Context(), "PRESENCE_1234567890"); err != nil {
		t.Fatal(err)
	}
	r.ensure()
	all := r.ledgerFrom(1)
	joined := []*program{early}
	for len(all) > 0 {
		n := min(len(all), 250)
		r.told(all[:n]...)
		all = all[n:]
		joined = append(joined, r.program(follow.Config{}))
	}
	r.told(r.some(100, 50)...)
	for _, p := range joined {
		p.reaches(r)
	}
	if n := early.follower.Stats().Resets; n != 1 {
		t.Errorf("who was there heard the state %d times, want 1", n)
	}
}

// The event stream is made anew and goes on with the next number.
func TestTheStreamGoesOnAnew(t *testing.T) {
	r := newRig(t)
	r.told(r.some(200, 20)...)
	r.settled()
	p, d := r.program(follow.Config{}), r.program(follow.Config{Durable: "d"})
	p.upTo(200)
	d.upTo(200)
	if err := r.js.DeleteStream(t.Context(), "PRESENCE_1234567890"); err != nil {
		t.Fatal(err)
	}
	r.ensure()
	late := r.program(follow.Config{})
	r.told(r.some(200, 20)...)
	for _, p := range []*program{p, d, late} {
		p.reaches(r)
	}
	if p.follower.Stats().Resets != 1 || d.follower.Stats().Resets != 1 {
		t.Errorf("%+v, %+v: want no reset", p.follower.Stats(), d.follower.Stats())
	}
}

// Without a bucket the event stream is enough, if it has everything; if not, the
// follower waits for the bucket.
func TestTheBucketIsMissing(t *testing.T) {
	r := newRig(t)
	r.told(r.some(300, 20)...)
	r.settled()
	if err := r.js.DeleteStream(t.Context(), "KV_presence_1234567890"); err != nil {
		t.Fatal(err)
	}
	r.program(follow.Config{}).reaches(r)
	s, err := r.js.Stream(t.Context(), "PRESENCE_1234567890")
	if err == nil {
		err = s.Purge(t.Context(), jetstream.WithPurgeSequence(100))
	}
	if err != nil {
		t.Fatal(err)
	}
	p := r.program(follow.Config{})
	eventually(t, "the state has begun", func() bool { return len(p.heard(follow.Reset)) == 1 })
	r.ensure()
	// Who has no event in the stream any more is told again, as the poller does.
	r.settled()
	p.upTo(300)
	status, _, _ := p.snapshot()
	for id, is := range status {
		if r.statusOf(id) != is {
			t.Errorf("%s is told to be %s", id, is)
		}
	}
}

// Somebody else has published on the event's subjects: the last message of the
// stream and of the bucket is none of the poller's.
func TestForeignMessages(t *testing.T) {
	r := newRig(t)
	r.told(r.change("alice", presence.Online), r.change("bob", presence.Online))
	for _, id := range []string{"alice", "mallory"} {
		if _, err := r.js.Publish(t.Context(), presence.Subject(app, presence.KindOnline, id), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	r.eventually("the bucket has them", func() bool {
		s, err := r.js.Stream(t.Context(), "KV_presence_1234567890")
		return err == nil && s.CachedInfo().State.LastSeq == 4
	})
	p, some := r.program(follow.Config{}), r.program(follow.Config{Users: []string{"bob", "alice"}})
	p.upTo(2)
	some.upTo(2)
	if status, _, _ := p.snapshot(); len(status) != 1 || status["bob"] != presence.Online {
		t.Errorf("%v, want bob alone", status)
	}
	if p.follower.Stats().Foreign == 0 {
		t.Error("foreign messages are not counted")
	}
	// The body is an event's, the header another's.
	first := r.ledgerFrom(1)[0]
	data, err := first.Data()
	if err != nil {
		t.Fatal(err)
	}
	r.publish(presence.Subject(app, presence.KindOnline, "mallory"), "x", 7, data)
	behind := r.program(follow.Config{After: 1})
	eventually(t, "what is foreign is counted", func() bool { return behind.follower.Stats().Foreign == 3 })
	if err := deleteLast(r, 3); err != nil {
		t.Fatal(err)
	}
	r.told(r.change("bob", presence.Offline))
	p.upTo(3)
	some.upTo(3)
	p.faultless()
	some.faultless()
}

// deleteLast takes the last n messages out of the event stream.
func deleteLast(r *rig, n uint64) error {
	s, err := r.js.Stream(r.t.Context(), "PRESENCE_1234567890")
	if err != nil {
		return err
	}
	last := s.CachedInfo().State.LastSeq
	for i := range n {
		err = errors.Join(err, s.DeleteMsg(r.t.Context(), last-i))
	}
	return err
}
