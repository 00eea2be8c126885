package follow_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/presence"
	"github.com/zim-presence/poller/presence/follow"
)

// The connection is cut again and again, and the server restarts: every event is
// told once.
func TestCuts(t *testing.T) {
	r := newRig(t)
	r.told(r.some(50, 10)...)
	r.settled()
	proxy := localtest.NewProxy(t, "tcp", r.server.URL()[len("nats://"):])
	closed := make(chan struct{})
	nc, err := nats.Connect("nats://"+proxy.Addr(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); <-closed })
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	plain, durable := start(t, js, follow.Config{App: app}, nil), start(t, js, follow.Config{App: app, Durable: "d"}, nil)
	plain.upTo(50)
	durable.upTo(50)
	for n := range 12 {
		if n%4 == 3 {
			r.server.Restart()
		}
		proxy.Cut()
		r.told(r.some(100, 10)...)
		if n%2 == 0 {
			plain.upTo(r.seq())
		}
	}
	for _, p := range []*program{plain, durable} {
		p.reaches(r)
		if got := p.numbers(); !slices.Equal(got, upward(51, 1250)) {
			t.Errorf("%d events told, want 51 to 1250", len(got))
		}
	}
}

// Consumers that somebody removes are made anew.
func TestConsumersAreRemoved(t *testing.T) {
	r := newRig(t)
	r.told(r.some(50, 10)...)
	r.settled()
	plain, durable := r.program(follow.Config{}), r.program(follow.Config{Durable: "d"})
	plain.upTo(50)
	durable.upTo(50)
	for range 3 {
		s, err := r.js.Stream(t.Context(), "PRESENCE_1234567890")
		if err != nil {
			t.Fatal(err)
		}
		for name := range s.ConsumerNames(t.Context()).Name() {
			if err := s.DeleteConsumer(t.Context(), name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
				t.Fatal(err)
			}
		}
		r.told(r.some(50, 10)...)
		plain.upTo(r.seq())
		durable.upTo(r.seq())
	}
	for _, p := range []*program{plain, durable} {
		p.reaches(r)
		if got := p.numbers(); !slices.Equal(got, upward(51, 200)) {
			t.Errorf("told %v, want 51 to 200", got)
		}
	}
}

// The end comes at once, whatever is going on, and two runs at a time are refused.
func TestTheEndIsPrompt(t *testing.T) {
	r := newRig(t)
	r.told(r.some(50, 10)...)
	p := r.program(follow.Config{Durable: "d"})
	p.upTo(50)
	if err := p.follower.Run(t.Context(), func(context.Context, follow.Item) error { return nil }); !errors.Is(err, follow.ErrRunning) {
		t.Errorf("a second run: %v", err)
	}
	r.server.Stop()
	eventually(t, "the outage is noticed", func() bool { return p.follower.Stats().Outages > 0 })
	begun := time.Now()
	if err := p.stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("the run ended: %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	r.server.Start()
	p.run()
	r.told(r.change("after all", presence.Online))
	p.upTo(51)
	js := r.connect()
	q := start(t, js, follow.Config{App: app}, nil)
	q.upTo(51)
	js.Conn().Close()
	if err := q.wait(); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("the connection is closed: the run ended: %v", err)
	}
}
