package zim

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A probe is to be red this long after the fault at the latest.
const redWithin = 10 * time.Second

// looking calls Reach once a second, as the daemon does, and returns when it first
// said something, and what; or the zero duration after a while.
func looking(r *rig, most time.Duration, want func(error) bool) (after time.Duration, err error) {
	began := time.Now()
	for time.Since(began) < most {
		if err = r.Reach(context.Background()); want(err) {
			return max(time.Since(began), 1), err
		}
		time.Sleep(time.Second)
	}
	return 0, err
}

func red(err error) bool   { return err != nil }
func green(err error) bool { return err == nil }

// Between sweeps: what happens to the way is seen within ten seconds whenever it
// happens, costs no request, and is forgotten as soon as the way is back.
func TestReachBetweenSweeps(t *testing.T) {
	for _, c := range []struct {
		name string
		w    weather
		says string
	}{{"refusing", refusing, "connection refused"}, {"a hole", hole, "deadline exceeded"}} {
		t.Run(c.name, func(t *testing.T) {
			for after := range 12 { // seconds of quiet before the fault
				synctest.Test(t, func(t *testing.T) {
					var w atomic.Int64
					b := &bubble{now: func(time.Duration, int64) weather { return weather(w.Load()) }}
					r := newRig(t, "http://zim.test", func(cfg *Config) { cfg.Timeout = 5 * time.Second })
					defer r.Close()
					b.attach(r)
					r.ask(t.Context(), numbered(10))
					if _, err := looking(r, time.Duration(after)*time.Second, red); err != nil {
						t.Fatalf("with all well: %v", err)
					}
					w.Store(int64(c.w))
					took, err := looking(r, time.Minute, red)
					if unreached := new(UnreachedError); !errors.As(err, &unreached) || !strings.Contains(err.Error(), "ZIM cannot be reached since ") ||
						!strings.Contains(err.Error(), c.says) || unreached.Mend() == "" {
						t.Errorf("%d s into the quiet: %v, want that ZIM cannot be reached, and why", after, err)
					}
					if took == 0 || took > redWithin-time.Second { // the judging of checks may take one more
						t.Errorf("%d s into the quiet: seen after %s", after, took)
					}
					if r.Outage() != nil || b.requests.Load() != 1 {
						t.Errorf("%d requests and %v, want no more than that of the sweep and no outage", b.requests.Load(), r.Outage())
					}
					w.Store(int64(fine))
					if took, _ := looking(r, time.Minute, green); took == 0 || took > 6*time.Second {
						t.Errorf("that the way is back was seen after %s", took)
					}
				})
			}
		})
	}
}

// What is tried in quiet is a connection every five seconds, and none that is not
// allowed, nor in an outage.
func TestReachIsCheap(t *testing.T) {
	for _, c := range []struct {
		name    string
		w       weather
		allowed bool
		dials   int64 // in a minute
		says    bool
	}{
		{"fine", fine, true, 12, false},
		{"refusing", refusing, true, 30, true},
		{"on a standby", refusing, false, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bubble{now: func(time.Duration, int64) weather { return c.w }}
				r := newRig(t, "http://zim.test", func(cfg *Config) { cfg.Allowed = func() bool { return c.allowed } })
				defer r.Close()
				b.attach(r)
				said := false
				for range 60 {
					said = r.Reach(t.Context()) != nil || said
					time.Sleep(time.Second)
				}
				if n := b.dials.Load(); n > c.dials || n < c.dials*8/10 || b.requests.Load() != 0 || said != c.says {
					t.Errorf("%d connections, %d requests, said %t; want %d, none, %t", n, b.requests.Load(), said, c.dials, c.says)
				}
			})
		})
	}
}

// In an outage the breaker speaks, and nothing else is tried.
func TestReachInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{now: func(time.Duration, int64) weather { return refusing }}
		r := newRig(t, "http://zim.test")
		defer r.Close()
		b.attach(r)
		r.ask(t.Context(), numbered(3000))
		if r.Outage() == nil {
			t.Fatal("no outage")
		}
		dials := b.dials.Load()
		if took, err := looking(r, time.Minute, red); took != 0 {
			t.Errorf("after %s: %v, want what the outage says alone", took, err)
		}
		if b.dials.Load() != dials {
			t.Error("the way was tried in an outage")
		}
	})
}

// A ZIM that takes connections and answers nothing is known while it is asked, also
// where so few are watched that the breaker does not open.
func TestReachWhileAsking(t *testing.T) {
	for _, c := range []struct {
		name string
		now  func(time.Duration) weather
		red  bool
	}{
		{"silent", func(time.Duration) weather { return silent }, true},
		{"fine", func(time.Duration) weather { return fine }, false},
		{"broken for a moment", func(since time.Duration) weather {
			if since < 3*time.Second {
				return broken
			}
			return fine
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bubble{now: func(since time.Duration, _ int64) weather { return c.now(since) }}
				r := newRig(t, "http://zim.test", func(cfg *Config) { cfg.Timeout = 5 * time.Second })
				defer r.Close()
				b.attach(r)
				asked := make(chan outcome)
				go func() { asked <- r.ask(t.Context(), numbered(10)) }()
				took, err := looking(r, 15*time.Second, red)
				<-asked
				if (took != 0) != c.red || took > redWithin-time.Second {
					t.Fatalf("seen after %s: %v; want red %t within %s", took, err, c.red, redWithin)
				}
				if c.red && !strings.Contains(err.Error(), "ZIM has answered nothing since ") {
					t.Errorf("it says %v", err)
				}
				if n := b.dials.Load(); n > 5 {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

// With real sockets: the handshake of TLS is part of it, a proxy is asked for the
// tunnel, and no request comes out at the other end.
func TestReachThroughProxyAndTLS(t *testing.T) {
	var requests, tunnels atomic.Int64
	zim := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	zim.Config.ErrorLog = nil
	t.Cleanup(zim.Close)
	var refuse atomic.Bool
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tunnels.Add(1)
		if r.Method != http.MethodConnect || refuse.Load() {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		pipe(w, r.Host)
	}))
	t.Cleanup(proxy.Close)
	through, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	trusting := func(cfg *Config) {
		cfg.TLS = &tls.Config{RootCAs: zim.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	}
	for _, c := range []struct {
		name    string
		change  func(*Config)
		proxy   bool
		refuse  bool
		says    string // in the error; "" for none
		tunnels int64
	}{
		{"as configured", trusting, false, false, "", 0},
		{"a certificate that is not known", func(*Config) {}, false, false, "certificate", 0},
		{"through a proxy", trusting, true, false, "", 1},
		{"through a proxy that refuses", trusting, true, true, "Forbidden", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			tunnels.Store(0)
			refuse.Store(c.refuse)
			r := newRig(t, zim.URL, c.change)
			r.course().conns.transport.Proxy = nil
			if c.proxy {
				r.course().conns.transport.Proxy = http.ProxyURL(through)
			}
			err := r.Reach(t.Context())
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("Reach says %v, want %q in it", err, c.says)
			}
			if tunnels.Load() != c.tunnels || requests.Load() != 0 {
				t.Errorf("%d tunnels, %d requests, want %d and none", tunnels.Load(), requests.Load(), c.tunnels)
			}
		})
	}
}

// pipe connects a client of a proxy with whom it wants.
func pipe(w http.ResponseWriter, host string) {
	theirs, err := net.Dial("tcp", host)
	if err != nil {
		http.Error(w, "no", http.StatusBadGateway)
		return
	}
	defer theirs.Close()
	ours, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer ours.Close()
	_, _ = io.WriteString(ours, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(theirs, bufio.NewReader(buffered))
		_ = theirs.Close()
	}()
	_, _ = io.Copy(ours, theirs)
}
