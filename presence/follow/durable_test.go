package follow_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
	"github.com/zim-presence/poller/presence/follow"
)

// upward are the numbers from first to last.
func upward(first, last int64) (numbers []int64) {
	for ; first <= last; first++ {
		numbers = append(numbers, first)
	}
	return numbers
}

// hasDurable waits until there is such a consumer: the state was told then.
func (r *rig) hasDurable(name string) {
	r.t.Helper()
	r.eventually("the consumer "+name, func() bool {
		_, err := r.js.Consumer(r.t.Context(), "PRESENCE_1234567890", name)
		return err == nil
	})
}

// The state is told once; behind it each start goes on where the last one ended.
func TestDurable(t *testing.T) {
	r := newRig(t)
	r.told(r.some(50, 10)...)
	r.settled()
	first := r.program(follow.Config{Durable: "billing"})
	first.upTo(50)
	r.told(r.some(50, 10)...)
	first.reaches(r)
	_ = first.stop()
	r.told(r.some(50, 10)...)
	r.server.Restart()
	second := r.program(follow.Config{Durable: "billing"})
	second.upTo(150)
	if got := append(first.numbers(), second.numbers()...); !slices.Equal(got, upward(51, 150)) {
		t.Errorf("told %v, want 51 to 150, each once", got)
	}
	if n := len(second.heard(follow.Reset)); n != 0 {
		t.Errorf("the second start told the state")
	}
}

// killedAt60 is a durable program that dies of event 60, of 220, behind a state as
// of 20.
func killedAt60(t *testing.T) (*rig, *program) {
	t.Helper()
	r := newRig(t)
	r.told(r.some(20, 5)...)
	r.settled()
	js := r.connect()
	killed := start(t, js, follow.Config{App: app, Durable: "billing"}, func(i follow.Item) error {
		if i.What == follow.Event && i.Seq == 60 {
			js.Conn().Close()
		}
		return nil
	})
	killed.upTo(20)
	r.told(r.some(200, 5)...)
	return r, killed
}

// The process dies between what it did and the acknowledgement, and with many
// events on their way to it: the next one is told these first, in order, behind
// what was acknowledged, and events that came since after them. A program that
// keeps its own place hears nothing twice.
func TestKilledBeforeTheAcknowledgement(t *testing.T) {
	r, killed := killedAt60(t)
	if err := killed.wait(); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("the run ended: %v", err)
	}
	if got := killed.numbers(); !slices.Equal(got, upward(21, 60)) {
		t.Errorf("told %v, want 21 to 60", got)
	}
	r.told(r.some(20, 5)...)
	own := r.program(follow.Config{Durable: "billing", After: 60})
	own.upTo(240)
	if got := own.numbers(); !slices.Equal(got, upward(61, 240)) {
		t.Errorf("who keeps its place was told %v, want 61 to 240", got)
	}
	_ = own.stop()
}

func TestToldAgainAfterAKill(t *testing.T) {
	r, killed := killedAt60(t)
	_ = killed.wait()
	forgetful := r.program(follow.Config{Durable: "billing"})
	if err := forgetful.untilEvent(220); err != nil {
		t.Fatal(err)
	}
	got := forgetful.numbers()
	if len(got) == 0 || got[0] > 60 || !slices.Equal(got, upward(got[0], 220)) {
		t.Errorf("told %v, want from 60 or before to 220", got)
	}
}

// An event that was refused is told again, at once and before all others.
func TestRefused(t *testing.T) {
	r := newRig(t)
	r.told(r.some(20, 5)...)
	r.settled()
	bad := errors.New("the database is away")
	refuse := true
	p := start(t, r.connect(), follow.Config{App: app, Durable: "billing"}, func(i follow.Item) error {
		if refuse && (i.What == follow.State && i.Event.Seq > 10 || i.What == follow.Event && i.Seq == 30) {
			refuse = false
			return bad
		}
		return nil
	})
	if err := p.wait(); !errors.Is(err, bad) {
		t.Fatalf("the run ended: %v", err)
	}
	if _, err := r.js.Consumer(t.Context(), "PRESENCE_1234567890", "billing"); !errors.Is(err, jetstream.ErrConsumerNotFound) {
		t.Errorf("the state was not done, and there is a consumer: %v", err)
	}
	p.run()
	p.upTo(20)
	if n := len(p.heard(follow.Reset)); n != 2 {
		t.Errorf("%d resets, want 2", n)
	}
	refuse = true
	r.told(r.some(30, 5)...)
	if err := p.wait(); !errors.Is(err, bad) {
		t.Fatalf("the run ended: %v", err)
	}
	_ = p.stop()
	next := r.program(follow.Config{Durable: "billing"})
	next.upTo(50)
	if got := append(p.numbers(), next.numbers()...); !slices.Equal(got, upward(21, 50)) {
		t.Errorf("told %v, want 21 to 50, each once", got)
	}
}

// A gap makes a durable follower begin again; should it end while it tells the
// state, the next one begins with the state as well.
func TestDurableBeginsAgain(t *testing.T) {
	r := newRig(t)
	r.told(r.some(20, 5)...)
	r.settled()
	first := r.program(follow.Config{Durable: "billing"})
	r.hasDurable("billing")
	_ = first.stop()
	r.told(r.some(20, 5)...)
	r.erase(false, 25)
	r.settled()
	bad := errors.New("no room")
	second := start(t, r.connect(), follow.Config{App: app, Durable: "billing", OnGap: follow.BeginAgain}, func(i follow.Item) error {
		if i.What == follow.Current {
			return bad
		}
		return nil
	})
	if err := second.wait(); !errors.Is(err, bad) {
		t.Fatalf("the run ended: %v", err)
	}
	third := r.program(follow.Config{Durable: "billing"})
	third.reaches(r)
	if len(third.heard(follow.Reset)) != 1 {
		t.Error("the state was not begun again")
	}
	r.told(r.some(20, 5)...)
	third.reaches(r)
	_ = third.stop()
	fourth := r.program(follow.Config{Durable: "billing"})
	r.told(r.change("the last", presence.Online))
	if err := fourth.untilEvent(61); err != nil {
		t.Fatal(err)
	}
	if got := fourth.numbers(); !slices.Equal(got, []int64{61}) {
		t.Errorf("told %v, want 61", got)
	}
}

// What the server still holds for a durable follower that has begun again is passed
// over, whatever log it is of.
func TestDurableBeginsAgainBehindAnotherLog(t *testing.T) {
	r := newRig(t)
	r.told(r.flip("alice"), r.flip("bob"))
	r.settled()
	first := r.program(follow.Config{Durable: "billing"})
	r.hasDurable("billing")
	_ = first.stop()
	r.log = "00000002"
	r.told(r.flip("alice"), r.flip("bob"), r.flip("alice"))
	r.erase(false, 3)
	r.log = "00000003"
	r.told(r.flip("alice"), r.flip("bob"))
	r.settled()
	p := r.program(follow.Config{Durable: "billing", OnGap: follow.BeginAgain})
	p.upTo(7)
	r.told(r.flip("alice"))
	p.reaches(r)
	r.eventually("all is acknowledged", func() bool {
		consumer, err := r.js.Consumer(t.Context(), "PRESENCE_1234567890", "billing")
		return err == nil && consumer.CachedInfo().AckFloor.Stream == 8
	})
	if got := p.follower.Stats(); got.Resets != 1 || got.Known == 0 {
		t.Errorf("%+v, want one reset, and what was passed over", got)
	}
}
