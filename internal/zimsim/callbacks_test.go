package zimsim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	callSecret   = "callback-secret"
	callPatience = 30 * time.Second
)

// ear is a server that is called back. It refuses the first calls, as many as it is to.
type ear struct {
	*httptest.Server
	mu     sync.Mutex // guards both below
	heard  []map[string]any
	refuse int
}

func listen(t *testing.T) *ear {
	e := &ear{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		if strings.HasPrefix(string(text), "%7B") {
			decoded, err := url.QueryUnescape(string(text))
			if err != nil {
				t.Error(err)
			}
			text = []byte(decoded)
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil || r.Method != http.MethodPost {
			t.Errorf("%s %s: %v", r.Method, text, err)
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.refuse--; e.refuse >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		e.heard = append(e.heard, fields)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *ear) all() []map[string]any {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]map[string]any(nil), e.heard...)
}

func hears(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(callPatience); !reached(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for: %s", callPatience, what)
		}
	}
}

// Each login, logout and lost heartbeat is called, as the documents have it.
func TestCallbacks(t *testing.T) {
	e := listen(t)
	s := start(t, nil)
	a := s.App(testApp)
	mustSet(t, s, map[string]State{"before": Online})
	if err := a.SetCallbacks(Callbacks{URL: e.URL, Secret: callSecret}); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{}
	for i, step := range []struct {
		to     State
		action float64
	}{{Online, 0}, {LoggedOut, 1}, {Timeout, -1}, {Online, 0}, {Timeout, 2}} {
		mustSet(t, s, map[string]State{"alice": step.to})
		if step.action >= 0 {
			want[fmt.Sprint(len(want))] = step.action
			hears(t, "the callback", func() bool { return len(e.all()) == len(want) })
			got := e.all()[len(want)-1]
			timestamp := fmt.Sprintf("%.0f", got["timestamp"])
			if got["action"] != step.action || got["user_id"] != "alice" || got["event"] != "user_action" || got["appid"] != fmt.Sprint(testApp) ||
				got["signature"] != signCallback(callSecret, timestamp, fmt.Sprint(got["nonce"])) {
				t.Errorf("step %d: called %v", i, got)
			}
		}
	}
	if got, want := signCallback("secret", "1470820198", "123412"), "5bd59fd62953a8059fb7eaba95720f66d19e4517"; got != want {
		t.Errorf("signature %s, want that of the documents, %s", got, want)
	}
}

// One that is not taken is called again, after two seconds, and what goes wrong goes
// wrong as often as it is to.
func TestCallbackFaults(t *testing.T) {
	e := listen(t)
	e.refuse = 1
	s := start(t, nil)
	a := s.App(testApp)
	began := time.Now()
	if err := a.SetCallbacks(Callbacks{URL: e.URL, Secret: callSecret}); err != nil {
		t.Fatal(err)
	}
	mustSet(t, s, map[string]State{"alice": Online})
	hears(t, "the second call", func() bool { return len(e.all()) == 1 })
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("called again after %s, want 2 s", took)
	}
	for share, want := range map[string]int{"lost": 0, "doubled": 2, "forged": 1} {
		before := len(e.all())
		if status, text := control(t, s, http.MethodPut, "/callbacks", fmt.Sprintf(`{%q: 1}`, share)); status != http.StatusOK || strings.Contains(text, callSecret) {
			t.Fatalf("%d: %s", status, text)
		}
		user := "user-" + share
		mustSet(t, s, map[string]State{user: Online})
		mustSet(t, s, map[string]State{"last-" + share: Online}) // suffers the same
		if want > 0 {
			hears(t, share, func() bool { return len(e.all()) >= before+2*want })
		} else {
			hears(t, share, func() bool { _, stats := a.Callbacks(); return stats.Lost == 2 })
		}
		for _, got := range e.all()[before:] {
			right := got["signature"] == signCallback(callSecret, fmt.Sprintf("%.0f", got["timestamp"]), fmt.Sprint(got["nonce"]))
			if right == (share == "forged") {
				t.Errorf("%s: called %v", share, got)
			}
		}
		if n := len(e.all()) - before; n != 2*want {
			t.Errorf("%s: called %d times, want %d", share, n, 2*want)
		}
	}
	for _, bad := range []Callbacks{{URL: "ftp://x"}, {URL: "http://x", Lost: 2}, {LateBy: -1}} {
		if err := a.SetCallbacks(bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
