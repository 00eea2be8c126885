package follow_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
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
	js := r.through(proxy)
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

// The event stream is made anew between the look for the place in it and the making
// of the consumer, which would wait for a message that is long told.
func TestTheStreamIsReplacedMeanwhile(t *testing.T) {
	r := newRig(t)
	r.told(r.some(50, 10)...)
	r.settled()
	proxy := localtest.NewProxy(t, "tcp", r.server.URL()[len("nats://"):])
	next := r.some(5, 10)
	var once sync.Once
	proxy.SetHook(func(_ int, d localtest.Direction, data []byte) localtest.Verdict {
		if d == localtest.ToServer && bytes.Contains(data, []byte("CONSUMER.CREATE.PRESENCE_1234567890")) {
			once.Do(func() {
				if err := r.js.DeleteStream(context.Background(), "PRESENCE_1234567890"); err != nil {
					t.Error(err)
				}
				r.ensure()
				r.told(next...)
			})
		}
		return localtest.Pass
	})
	p := start(t, r.through(proxy), follow.Config{App: app, After: 50}, nil)
	p.upTo(55)
	if got := p.numbers(); !slices.Equal(got, upward(51, 55)) {
		t.Errorf("told %v, want 51 to 55", got)
	}
}

// through is a connection through a proxy.
func (r *rig) through(proxy *localtest.Proxy) jetstream.JetStream {
	r.t.Helper()
	closed := make(chan struct{})
	nc, err := nats.Connect("nats://"+proxy.Addr(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { nc.Close(); <-closed })
	js, err := jetstream.New(nc)
	if err != nil {
		r.t.Fatal(err)
	}
	return js
}
