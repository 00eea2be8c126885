package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// turned makes it look as if Run had gone a round so long ago.
func turned(c *Checks, ago time.Duration) {
	c.beat.Store(&beat{at: time.Now().Add(-ago)})
}

func ask(t *testing.T, h http.Handler, method, path string) (*http.Response, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	text, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), string(text)
}

func TestProbes(t *testing.T) {
	green := func(c *Checks) { c.Set("database", nil); turned(c, 0) }
	for _, c := range []struct {
		name, method, path string
		prepare            func(*Checks)
		status             int
		body               string // how it begins
	}{
		{"turns", "GET", "/healthz", green, 200, "ok\n"},
		{"turns without a check", "GET", "/healthz", func(c *Checks) { turned(c, 0) }, 200, "ok\n"},
		{"turns with a red check", "GET", "/healthz", func(c *Checks) { c.Set("a", io.EOF); turned(c, 0) }, 200, "ok\n"},
		{"not started", "GET", "/healthz", func(c *Checks) { c.Set("a", nil) }, 503, "not started yet\n"},
		{"stalled", "GET", "/healthz", func(c *Checks) { turned(c, time.Hour) }, 503, "stalled: the checks were last judged 1h0m0s ago\n"},
		{"ready", "GET", "/readyz", green, 200, `{"ready":true,"checks":[{"name":"database","ok":true,"error":"","mend":"","note":"","since":"`},
		{"ready, head", "HEAD", "/readyz", green, 200, ""},
		{"no check", "GET", "/readyz", func(*Checks) {}, 503, `{"ready":false,"checks":[]}` + "\n"},
		{"red", "GET", "/readyz", func(c *Checks) { c.Set("nats", errors.New(`no "<servers>"`)) }, 503,
			`{"ready":false,"checks":[{"name":"nats","ok":false,"error":"no \"\u003cservers\u003e\"","mend":"","note":"","since":"`},
		{"metrics", "GET", "/metrics", green, 200, "# HELP go_gc_duration_seconds"},
		{"post", "POST", "/readyz", green, 405, "method not allowed\n"},
		{"delete", "DELETE", "/metrics", green, 405, "method not allowed\n"},
		{"root", "GET", "/", green, 404, "not found\n"},
		{"below", "GET", "/metrics/", green, 404, "not found\n"},
		{"unclean", "GET", "//metrics", green, 404, "not found\n"},
		{"debug", "GET", "/debug/pprof/", green, 404, "not found\n"},
		{"post to nothing", "POST", "/nothing", green, 404, "not found\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			checks := NewChecks()
			c.prepare(checks)
			r, body := ask(t, Handler(NewMetrics("v1"), checks, nil), c.method, c.path)
			if r.StatusCode != c.status || c.method != "HEAD" && !strings.HasPrefix(body, c.body) {
				t.Errorf("%s %s: got %d %.200q, want %d %q", c.method, c.path, r.StatusCode, body, c.status, c.body)
			}
			if allow := r.Header.Get("Allow"); (allow == "GET, HEAD") != (c.status == 405) {
				t.Errorf("%s %s: Allow is %q", c.method, c.path, allow)
			}
			for name, want := range map[string]string{
				"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
				"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
			} {
				if got := r.Header.Get(name); got != want {
					t.Errorf("%s %s: %s is %q, want %q", c.method, c.path, name, got, want)
				}
			}
		})
	}
}

func TestReadinessIsJSON(t *testing.T) {
	checks := NewChecks()
	checks.Set("b", nil)
	checks.Note("b", "another does it")
	checks.Set("a", fmt.Errorf("this app: %w", mendable{"no bread", "bake some"}))
	r, body := ask(t, Handler(NewMetrics("v1"), checks, nil), "GET", "/readyz")
	if got := r.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	_, said := checks.Judge()
	since := func(i int) string { return said[i].Since.Format(time.RFC3339Nano) }
	want := map[string]any{"ready": false, "checks": []any{
		map[string]any{"name": "a", "ok": false, "error": "this app: no bread", "mend": "bake some", "note": "", "since": since(0)},
		map[string]any{"name": "b", "ok": true, "error": "", "mend": "", "note": "another does it", "since": since(1)},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("/readyz (-want +got):\n%s", diff)
	}
}

func TestMetricsAreServed(t *testing.T) {
	m := NewMetrics("v1.2.3")
	m.App(1234567890).Attempted("0", time.Millisecond)
	r, body := ask(t, Handler(m, NewChecks(), nil), "GET", "/metrics")
	if got := r.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Errorf("content type %q", got)
	}
	for _, want := range []string{
		`poller_requests_total{app="1234567890",result="0"} 1`, `poller_requests_total{app="1234567890",result="timeout"} 0`,
		`version="v1.2.3"`, `poller_lag_seconds{app="1234567890"} 0`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}
