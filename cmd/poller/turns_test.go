package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/local/localtest"
)

// turns is who sent requests to ZIM, and when, as proxies saw them.
type turns struct {
	mu   sync.Mutex
	sent []sending
}

type sending struct {
	who string
	app string // as the request has it
	at  time.Time
}

// of returns the setting that leads a process's requests by way of a proxy that
// notes them.
func (s *turns) of(who string, w *world) string {
	w.t.Helper()
	proxy := localtest.NewProxy(w.t, "tcp", strings.TrimPrefix(w.sim.URL(), "http://"))
	proxy.SetHook(func(_ int, d localtest.Direction, data []byte) localtest.Verdict {
		if d == localtest.ToServer && bytes.HasPrefix(data, []byte("GET ")) {
			s.mu.Lock()
			defer s.mu.Unlock()
			_, app, _ := strings.Cut(string(data), "AppId=")
			app, _, _ = strings.Cut(app, "&")
			s.sent = append(s.sent, sending{who, app, time.Now()})
		}
		return localtest.Pass
	})
	return "POLLER_ZIM_BASE_URL=" + proxy.Through(w.sim.URL())
}

// audit proves that no two ever sent in one second for one app, and returns how
// often an app has changed hands. Half of the second is left to a proxy that notes
// late what the last one has sent.
func (s *turns) audit(t testing.TB) (changes int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	last := map[string]sending{}
	for _, after := range s.sent {
		before, asked := last[after.app]
		last[after.app] = after
		if !asked || before.who == after.who {
			continue
		}
		changes++
		gap := after.at.Sub(before.at)
		t.Logf("turn %d, of app %s: %s sends %s behind %s", changes, after.app, after.who, gap.Round(time.Millisecond), before.who)
		if gap < 500*time.Millisecond {
			t.Errorf("app %s: %s sends %s behind %s: they poll at once", after.app, after.who, gap, before.who)
		}
	}
	if changes == 0 {
		t.Error("the lease has not changed hands")
	}
	return changes
}
