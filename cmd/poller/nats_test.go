package main

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/zimsim"
)

// newWorldBehind is a world whose program reaches NATS through a proxy.
func newWorldBehind(t *testing.T, env ...string) (*world, *localtest.Proxy) {
	t.Helper()
	w := newWorld(t, env...)
	proxy := localtest.NewProxy(t, "tcp", strings.TrimPrefix(w.nats.URL(), "nats://"))
	w.env = append(w.env, "POLLER_NATS_URL="+proxy.Through(w.nats.URL()))
	return w, proxy
}

// carriesPublish and carriesAck judge a piece of the protocol.
func carriesPublish(d localtest.Direction, data []byte) bool {
	return d == localtest.ToServer && bytes.Contains(data, []byte("HPUB presence.v1."))
}

func carriesAck(d localtest.Direction, data []byte) bool {
	return d == localtest.ToClient && bytes.Contains(data, []byte(`{"stream":"PRESENCE_`))
}

// Connections that break when a publish has gone out, before its ack, and acks
// that are swallowed: nothing is lost and nothing is told twice.
func TestAcksLost(t *testing.T) {
	t.Parallel()
	w, proxy := newWorldBehind(t)
	users := population(300)
	w.set(users)
	w.watch(keys(users)...)
	var publishes, acks, cut, swallowed atomic.Int64
	proxy.SetHook(func(_ int, d localtest.Direction, data []byte) localtest.Verdict {
		switch {
		case carriesPublish(d, data) && publishes.Add(1)%3 == 1:
			cut.Add(1)
			return localtest.CutAfter
		case carriesAck(d, data) && acks.Add(1)%4 == 2:
			swallowed.Add(1)
			return localtest.Drop
		}
		return localtest.Pass
	})
	daemon := w.start("run")
	stopFlips := w.keepFlipping(users, 1)
	w.until("12 lost acks", func() bool { return cut.Load() >= 9 && swallowed.Load() >= 3 })
	stopFlips()
	proxy.SetHook(nil)
	w.sweeps(2)
	daemon.stop()
	w.audit()
	w.auditIntervals(w.events(0))
	t.Logf("%d connections cut behind a publish, %d pieces of acks swallowed, %d events", cut.Load(), swallowed.Load(), len(w.events(0)))
}

// No ack comes from NATS for as long as it takes. Sweeps go on all the same, and
// what they saw is told, late.
func TestSlowAcksHoldUpNoSweep(t *testing.T) {
	t.Parallel()
	w, proxy := newWorldBehind(t)
	users := population(100)
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")
	w.newEvents(0, len(users))
	released := make(chan struct{})
	var held atomic.Int64
	proxy.SetHook(func(_ int, d localtest.Direction, data []byte) localtest.Verdict {
		if carriesAck(d, data) {
			held.Add(1)
			select {
			case <-released:
			case <-t.Context().Done():
			}
		}
		return localtest.Pass
	})
	stopFlips := w.keepFlipping(users, 1)
	w.until("an ack that is held back", func() bool { return held.Load() > 0 })
	w.sweeps(5) // no ack comes until they are over
	stopFlips()
	close(released)
	proxy.SetHook(nil)
	w.sweeps(2)
	daemon.stop()
	w.audit()
	w.auditIntervals(w.events(0))
}

// An outage that begins behind publishes whose acks are lost, lasts longer than
// the server remembers ids and than any client's patience, is refused connections,
// connections that break, and a black hole: then all is told, once.
func TestLongOutage(t *testing.T) {
	t.Parallel()
	const attempts = 100 // the client's own limit is 60
	w, proxy := newWorldBehind(t)
	users := population(100)
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")
	w.newEvents(0, len(users))
	stream, err := w.js.Stream(t.Context(), "PRESENCE_4000000001")
	if err != nil {
		t.Fatal(err)
	}
	c := stream.CachedInfo().Config
	c.Duplicates = time.Second
	if _, err := w.js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	var out, last atomic.Int64
	proxy.SetHook(func(conn int, d localtest.Direction, data []byte) localtest.Verdict {
		if carriesPublish(d, data) {
			out.Store(1)
			return localtest.CutAfter
		}
		if out.Load() == 1 {
			last.Store(int64(conn))
			return localtest.CutBefore
		}
		return localtest.Pass
	})
	begun := time.Now()
	stopFlips := w.keepFlipping(users, 1)
	w.until("many attempts to connect", func() bool { return last.Load() >= attempts })
	proxy.Stall()
	w.sweeps(5)
	proxy.Resume()
	proxy.Refuse()
	proxy.Cut()
	w.sweeps(5)
	stopFlips()
	outage := time.Since(begun)
	proxy.SetHook(nil)
	proxy.Accept()
	w.sweeps(2)
	w.until("all told", func() bool {
		return len(w.events(0)) == w.count(`select count(*) from transitions where app_id = $1`, worldApp)
	})
	daemon.stop()
	w.audit()
	w.auditIntervals(w.events(0))
	t.Logf("an outage of %s with %d broken connections; %d events", outage.Round(time.Second), last.Load(), len(w.events(0)))
}

// A client that has closed its connection for good, after an error of the
// protocol, ends the program: its supervisor starts it anew.
func TestClientGivesUp(t *testing.T) {
	t.Parallel()
	w, proxy := newWorldBehind(t)
	w.set(map[string]zimsim.State{"a": zimsim.Online})
	w.watch("a")
	daemon := w.start("run")
	w.newEvents(0, 1)
	proxy.SetHook(func(_ int, d localtest.Direction, data []byte) localtest.Verdict {
		if word := "-ERR 'Parser Error'\r\n"; d == localtest.ToClient && bytes.HasPrefix(data, []byte("MSG ")) && len(data) > len(word) {
			copy(data, word)
		}
		return localtest.Pass
	})
	if code, log := daemon.ended(), strings.Join(daemon.lines, "\n"); code != 1 || !strings.Contains(log, "closed for good: nats: Parser Error") {
		t.Errorf("exit code %d, want 1 and the cause in:\n%s", code, log)
	}
	proxy.SetHook(nil)
	w.set(map[string]zimsim.State{"a": zimsim.LoggedOut})
	daemon = w.start("run")
	w.newEvents(1, 1)
	daemon.stop()
	w.audit()
}
