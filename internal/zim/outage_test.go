package zim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// weather is what a server in a bubble of its own time does with the nth request,
// or nth connect.
type weather int

const (
	fine     weather = iota
	broken           // HTTP 503
	silent           // no reply at all
	refusing         // no connection
	hole             // nobody answers the connect
)

// bubble is a server that is reached without a socket.
type bubble struct {
	now              func(since time.Duration, n int64) weather
	began            time.Time
	dials, requests  atomic.Int64
	atOnce, mostOnce atomic.Int64
}

// attach makes the client talk to the server.
func (b *bubble) attach(r *rig) {
	b.began = time.Now()
	r.course().conns.transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		switch b.now(time.Since(b.began), b.dials.Add(1)) {
		case refusing:
			return nil, errors.New("connection refused")
		case hole:
			<-ctx.Done()
			return nil, ctx.Err()
		}
		ours, theirs := net.Pipe()
		go b.serve(theirs)
		w := ctx.Value(wireKey{}).(*wire)
		w.Conn = ours
		return w, nil
	}
}

func (b *bubble) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if n := b.atOnce.Add(1); n > b.mostOnce.Load() {
			b.mostOnce.Store(n)
		}
		w := b.now(time.Since(b.began), b.requests.Add(1))
		if w == silent {
			_, _ = in.ReadByte() // until the client has had enough
		}
		b.atOnce.Add(-1)
		switch w {
		case fine:
			fmt.Fprint(c, reply200(everybodyOnline(req.URL.Query()["UserId[]"])))
		case broken:
			fmt.Fprint(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
		default:
			return
		}
	}
}

// Many users and a server that dies in each way: a call costs few requests,
// ends in bounded time, and, when the server is back in the middle of it, sees
// everybody.
func TestOutage(t *testing.T) {
	always := func(w weather) func(time.Duration, int64) weather {
		return func(time.Duration, int64) weather { return w }
	}
	during := func(w weather, from, to time.Duration) func(time.Duration, int64) weather {
		return func(since time.Duration, _ int64) weather {
			if since >= from && since < to {
				return w
			}
			return fine
		}
	}
	for _, c := range []struct {
		name     string
		now      func(time.Duration, int64) weather
		users    int // who are watched
		observed int
		requests int64 // at most
		dials    int64
		lasts    time.Duration
		opens    int
	}{
		{"fine", always(fine), 10_000, 10_000, 100, 100, 10 * time.Second, 0},
		{"dead: 503", always(broken), 10_000, 0, 32, 32, 35 * time.Second, 1},
		{"dead: refused", always(refusing), 10_000, 0, 0, 32, 35 * time.Second, 1},
		{"dead: silent", always(silent), 10_000, 0, 130, 130, 55 * time.Second, 1}, // they are all in flight when it is found out
		{"dead: connect", always(hole), 10_000, 0, 0, 8, 65 * time.Second, 1},
		{"503 for 10 s", during(broken, time.Second, 11*time.Second), 10_000, 10_000, 126, 126, 25 * time.Second, 1},
		{"refused for 10 s", during(refusing, 0, 10*time.Second), 10_000, 10_000, 100, 200, 25 * time.Second, 1},
		{"silent for 5 s", during(silent, 2*time.Second, 7*time.Second), 10_000, 10_000, 205, 205, 25 * time.Second, 0},
		{"connect for 15 s", during(hole, 0, 15*time.Second), 10_000, 10_000, 100, 110, 40 * time.Second, 1},
		{"503 for 25 s, few users", during(broken, 0, 25*time.Second), 600, 600, 40, 40, 40 * time.Second, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bubble{now: c.now}
				var told []error
				r := newRig(t, "http://zim.test", func(cfg *Config) { cfg.Outage = func(err error) { told = append(told, err) } })
				defer r.Close()
				r.outlast = outlast
				r.slots.gap = 50 * time.Millisecond
				b.attach(r)
				out := r.ask(t.Context(), numbered(c.users))
				took := time.Since(b.began)
				if out.err != nil || len(out.observed) != c.observed || len(out.missed) != c.users-c.observed {
					t.Errorf("%d observed, %d missed, %v, want %d observed", len(out.observed), len(out.missed), out.err, c.observed)
				}
				if b.requests.Load() > c.requests || b.dials.Load() > c.dials || took > c.lasts {
					t.Errorf("%d requests and %d connects in %s, want %d, %d and %s at most", b.requests.Load(), b.dials.Load(), took, c.requests, c.dials, c.lasts)
				}
				t.Logf("%d requests, %d connects, %s", b.requests.Load(), b.dials.Load(), took)
				r.checkOutages(told, c.opens, c.observed > 0)
				var o *OutageError
				if c.observed == 0 && !errors.As(out.asked.Failure, &o) {
					t.Errorf("the failure is %v, want an outage", out.asked.Failure)
				}
			})
		})
	}
}

// checkOutages wants so many, each told and logged once at either end.
func (r *rig) checkOutages(told []error, opens int, over bool) {
	r.t.Helper()
	closes := opens
	if !over {
		closes--
	}
	for i, err := range told {
		var o *OutageError
		if errors.As(err, &o) != (i%2 == 0) {
			r.t.Errorf("told %v", told)
		}
		if err != nil {
			r.checkSilent("the outage", err.Error())
		}
	}
	opened, closed := r.logged(`"level":"warn"`, "does not answer"), r.logged(`"level":"info"`, "answers again")
	if len(told) != opens+closes || opened != opens || closed != closes {
		r.t.Errorf("told %v, logged %d and %d, want %d and %d", told, opened, closed, opens, closes)
	}
}

// While it is open one request at a time is on the wire; the next call begins with
// one at once; and whoever comes when ZIM is back finds that out.
func TestProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w atomic.Int64
		w.Store(int64(broken))
		b := &bubble{now: func(time.Duration, int64) weather { return weather(w.Load()) }}
		r := newRig(t, "http://zim.test")
		defer r.Close()
		r.outlast = outlast
		b.attach(r)
		users := numbered(5000)
		r.ask(t.Context(), users)
		for _, c := range []weather{broken, silent} {
			w.Store(int64(c))
			b.mostOnce.Store(0)
			for n := range 3 {
				before := b.requests.Load()
				out := r.ask(t.Context(), users)
				if sent := b.requests.Load() - before; len(out.missed) != 5000 || sent < 1 || sent > 3 {
					t.Errorf("call %d: %d requests, %d missed, want a few probes, and everybody missed", n, sent, len(out.missed))
				}
			}
			if n := b.mostOnce.Load(); n != 1 {
				t.Errorf("%d requests at once on the wire, want 1", n)
			}
		}
		before := b.requests.Load()
		for range 100 {
			out := r.confirm(t.Context(), users[:100])
			if len(out.missed) != 100 || out.err != nil {
				t.Errorf("confirm: %d missed, %v", len(out.missed), out.err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if sent := b.requests.Load() - before; sent > 1 {
			t.Errorf("%d requests to confirm in ten seconds, want one probe at most", sent)
		}
		w.Store(int64(fine))
		for n := 0; r.breaker.down() != nil; n++ { // no sweep is on: the confirmations find out
			if n > 40 {
				t.Fatal("ZIM is back, and nobody has found out")
			}
			time.Sleep(time.Second)
			r.confirm(t.Context(), users[:100])
		}
		if out := r.ask(t.Context(), users); len(out.observed) != 5000 {
			t.Errorf("%d observed, want all", len(out.observed))
		}
	})
}

// The same on real sockets, with a simulated ZIM that is dead, and back in the
// middle of a call.
func TestOutageOfASimulatedZIM(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"http:503", "cut_headers", "html", "hang"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			faults, err := zimsim.ParseFaults(fault)
			if err != nil {
				t.Fatal(err)
			}
			users := numbered(10_000)
			s := simulator(t, zimsim.Config{Faults: faults}, users)
			r := newRig(t, s.URL(), timeout(time.Second), func(c *Config) { c.Rate = 50 })
			dead := r.ask(t.Context(), users)
			if len(dead.missed) != 10_000 || dead.counts()[presence.MissFailed] != 10_000 {
				t.Errorf("%d observed, missed %v", len(dead.observed), dead.counts())
			}
			// As many as open it, those in flight then, and a few probes.
			if sent := dead.asked.Requests; sent > r.course().inFlight+opensAfter+5 {
				t.Errorf("%d requests to a dead server", sent)
			}
			r.outlast = time.Minute
			finished := make(chan outcome)
			arrived := s.App(0).Stats()
			go func() { finished <- r.ask(t.Context(), users) }()
			for now := arrived; now.Arrivals+now.Unread == arrived.Arrivals+arrived.Unread; now = s.App(0).Stats() {
				time.Sleep(time.Millisecond)
			}
			s.ClearFaults()
			back := <-finished
			if back.err != nil || len(back.observed) != 10_000 {
				t.Errorf("with the server back: %d observed, %v", len(back.observed), back.err)
			}
			back.checkTrue(t, s)
			r.checkBooks(s, dead.asked, back.asked)
		})
	}
}

// Half of the requests fail, at random, of a thousand: nothing is held up.
func TestBrownOut(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"http:503@0.5", "cut_body@0.5", "http:503@0.17,cut_body@0.17,html@0.17"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			faults, err := zimsim.ParseFaults(fault)
			if err != nil {
				t.Fatal(err)
			}
			users := numbered(5000)
			s := simulator(t, zimsim.Config{Faults: faults, Seed: 5}, users)
			r := newRig(t, s.URL(), func(c *Config) {
				c.BatchSize = 10
				c.Outage = func(err error) { t.Errorf("told %v", err) }
			})
			out := r.ask(t.Context(), users)
			if out.err != nil || len(out.observed) < 4000 {
				t.Errorf("%d observed, %v", len(out.observed), out.err)
			}
			out.checkTrue(t, s)
			r.checkBooks(s, out.asked)
		})
	}
}
