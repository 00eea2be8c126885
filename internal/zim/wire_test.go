package zim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// A server that ends kept-alive connections, in every way. Nothing is sent
// twice; and as nothing else is wrong everybody is answered.
func TestKeptAliveConnectionsThatDie(t *testing.T) {
	reset := func(c *net.TCPConn) { _ = c.SetLinger(0) }
	for name, end := range map[string]ending{
		"never":                       nil,
		"after each answer":           func(int, *net.TCPConn) (bool, bool) { return true, true },
		"reset after each answer":     func(_ int, c *net.TCPConn) (bool, bool) { reset(c); return true, true },
		"when the next one was read":  func(n int, _ *net.TCPConn) (bool, bool) { return n == 1, n > 1 },
		"reset when the next is read": func(n int, c *net.TCPConn) (bool, bool) { reset(c); return n == 1, n > 1 },
		"after the third answer":      func(n int, _ *net.TCPConn) (bool, bool) { return true, n == 3 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startRaw(t, end)
			r := newRig(t, s.url())
			users, requests := numbered(40), 0
			observed := 0
			for range 10 { // each call finds connections of the one before
				out := r.ask(t.Context(), users)
				if out.err != nil {
					t.Fatal(out.err)
				}
				requests += out.asked.Requests
				observed += len(out.observed)
			}
			s.checkWire(t, r, requests)
			if observed != 400 {
				t.Errorf("%d observed, want 400; %d requests", observed, requests)
			}
		})
	}
}

// The server closes while the connection idles between two calls.
func TestConnectionsClosedWhileIdle(t *testing.T) {
	s := startRaw(t, nil)
	r := newRig(t, s.url(), func(c *Config) { c.BatchSize = 1 })
	requests := 0
	for range 10 {
		out := r.ask(t.Context(), numbered(10))
		requests += out.asked.Requests
		if len(out.observed) != 10 {
			t.Errorf("%d observed, want 10", len(out.observed))
		}
		s.mu.Lock()
		for i, c := range s.open {
			if i%2 == 0 {
				_ = c.(*net.TCPConn).SetLinger(0)
			}
			c.Close()
		}
		s.open = nil
		s.mu.Unlock()
	}
	s.checkWire(t, r, requests)
}

// kill_keepalive of the simulator, over HTTP/1.1 in the clear and in TLS, and
// over HTTP/2, where the connection ends with all its streams.
func TestKillKeepAlive(t *testing.T) {
	users := numbered(1000)
	for name, c := range map[string]zimsim.Config{"clear": {}, "TLS": {TLS: true, HTTP1: true}, "HTTP/2": {TLS: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.Seed = 3
			c.Faults = []zimsim.Fault{{Kind: zimsim.KillKeepAlive, Probability: 0.5, Count: 15}}
			s := simulator(t, c, users)
			r := newRig(t, s.URL(), secure(s))
			requests := 0
			for range 3 {
				out := r.ask(t.Context(), users)
				if out.err != nil {
					t.Fatal(out.err)
				}
				out.checkTrue(t, s)
				requests += out.asked.Requests
			}
			s.ClearFaults()
			out := r.ask(t.Context(), users)
			requests += out.asked.Requests
			if taken, held, _ := r.slots.books(); requests != taken || held != 0 || s.App(0).Stats().Arrivals > uint64(taken) {
				t.Errorf("%d requests counted, %d at the server, %d slots taken, %d of them held", requests, s.App(0).Stats().Arrivals, taken, held)
			}
			if n := s.App(0).Stats().RepeatedNonces; n != 0 {
				t.Errorf("%d nonces came twice", n)
			}
		})
	}
}

func TestHTTP2(t *testing.T) {
	users := numbered(2000)
	s := simulator(t, zimsim.Config{TLS: true}, users)
	r := newRig(t, s.URL(), secure(s))
	for range 2 {
		out := r.ask(t.Context(), users)
		out.checkTrue(t, s)
		if out.err != nil || len(out.observed) != 2000 {
			t.Errorf("%d observed, %v", len(out.observed), out.err)
		}
	}
	r.course().conns.mu.Lock()
	defer r.course().conns.mu.Unlock()
	for _, c := range r.course().conns.open {
		if c.Available() < 10 {
			t.Errorf("a connection takes %d requests at once: that is not HTTP/2", c.Available())
		}
	}
	if n := len(r.course().conns.open); n < 1 || n > 2 {
		t.Errorf("%d connections, want 1, or 2 when they were made at once", n)
	}
}

// An HTTP/2 server that wants to be rid of a connection says GOAWAY, answers what
// it has begun and takes nothing more. The client goes on over new connections.
func TestGoAway(t *testing.T) {
	users := numbered(2000)
	s := simulator(t, zimsim.Config{}, users)
	var requests, goAways atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.ProtoMajor != 2 {
			t.Errorf("protocol %s", req.Proto)
		}
		if requests.Add(1)%5 == 0 {
			goAways.Add(1)
			w.Header().Set("Connection", "close") // over HTTP/2 this is a GOAWAY
		}
		s.Gateway().ServeHTTP(w, req)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	r := newRig(t, server.URL, func(c *Config) {
		pool := x509.NewCertPool()
		pool.AddCert(server.Certificate())
		c.TLS = &tls.Config{RootCAs: pool}
	})
	sent := 0
	for range 3 {
		out := r.ask(t.Context(), users)
		out.checkTrue(t, s)
		if out.err != nil || len(out.observed) != 2000 {
			t.Errorf("%d observed, missed %v, %v", len(out.observed), out.counts(), out.err)
		}
		sent += out.asked.Requests
	}
	taken, held, _ := r.slots.books()
	if stats := s.App(0).Stats(); taken != sent || held != 0 || stats.Arrivals > uint64(sent) || stats.RepeatedNonces != 0 {
		t.Errorf("%d requests counted, %d slots taken, %d held, at the server %+v", sent, taken, held, stats)
	}
	if goAways.Load() == 0 {
		t.Error("no GOAWAY was sent")
	}
	r.Close() // before the server, which waits for its clients
}

// A connection that nobody answers the calls for: it has to be given up in finite
// time, by everybody.
func TestNobodyAnswersTheConnect(t *testing.T) {
	r := newRig(t, "http://127.0.0.1:1", timeout(50*time.Millisecond), func(c *Config) { c.Rate = 2000 }) // 100 in flight
	var dials atomic.Int64
	r.course().conns.transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		dials.Add(1)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	out := r.ask(t.Context(), numbered(10_000))
	if out.err != nil || len(out.observed) != 0 || out.counts()[presence.MissFailed] != 10_000 {
		t.Errorf("%d observed, missed %v, %v", len(out.observed), out.counts(), out.err)
	}
	if taken, _, _ := r.slots.books(); taken != 0 || out.asked.Requests != 0 {
		t.Errorf("%d slots taken, %d requests counted, none was sent", taken, out.asked.Requests)
	}
	if dials := dials.Load(); dials > 50 {
		t.Errorf("connected %d times in vain for 100 batches: they do not share the wait", dials)
	}
}

func TestConnectionRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	r := newRig(t, "http://"+l.Addr().String())
	out := r.ask(t.Context(), numbered(300))
	if taken, _, _ := r.slots.books(); out.err != nil || taken != 0 || out.counts()[presence.MissFailed] != 300 {
		t.Errorf("%d slots taken, missed %v, %v", taken, out.counts(), out.err)
	}
}

// The budget is told that a request has been sent when it has, and not when it
// has been answered; over each protocol.
func TestSentIsToldBetweenWritingAndTheAnswer(t *testing.T) {
	for name, c := range map[string]zimsim.Config{"clear": {}, "TLS": {TLS: true, HTTP1: true}, "HTTP/2": {TLS: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.Faults = []zimsim.Fault{{Kind: zimsim.Hang}}
			users := numbered(300)
			s := simulator(t, c, users)
			r := newRig(t, s.URL(), secure(s), timeout(time.Hour))
			finished := make(chan outcome)
			go func() { finished <- r.ask(t.Context(), users) }()
			patience := time.Now().Add(30 * time.Second)
			for taken, held := 0, 0; taken < 3 || held > 0; taken, held, _ = r.slots.books() {
				if time.Now().After(patience) {
					t.Errorf("%d of %d requests were never told to have been sent", held, taken)
					break
				}
				time.Sleep(time.Millisecond)
			}
			if n := s.App(0).Stats().Answers; n != 0 {
				t.Errorf("%d answers before the faults were cleared", n)
			}
			s.ClearFaults()
			if out := <-finished; len(out.observed) != 300 {
				t.Errorf("%d observed, want 300", len(out.observed))
			}
		})
	}
}
