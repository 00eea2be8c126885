package page

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zim-presence/poller/presence"
)

// patience is how long a test waits for what is bound to come.
const patience = 30 * time.Second

var begin = time.Date(2026, 11, 22, 18, 43, 36, 120114000, time.UTC)

// rig is a page on a real socket.
type rig struct {
	t      testing.TB
	cfg    Config
	server *httptest.Server
	asked  []string // users who were asked about; one at a time
	now    Board
	block  chan struct{} // while it is open nobody is explained
	within atomic.Int32  // how many are being explained
	most   atomic.Int32  // of within
}

// newRig serves a page; change, which may be nil, sees its configuration before.
func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, now: Board{Apps: []App{{App: 1}, {App: 2}}}}
	r.cfg = Config{
		Board: func(app uint32) Board {
			b := r.now
			b.Apps, b.Checks = nil, slices.Clone(r.now.Checks)
			for _, a := range r.now.Apps {
				if app == 0 || app == a.App {
					b.Apps = append(b.Apps, a)
				}
			}
			return b
		},
		User: func(ctx context.Context, app uint32, user string) (any, error) {
			r.most.Store(max(r.most.Load(), r.within.Add(1)))
			defer r.within.Add(-1)
			if r.block != nil {
				select {
				case <-r.block:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			r.asked = append(r.asked, user)
			switch user {
			case "nobody":
				return nil, fmt.Errorf("%w: never heard of", ErrUnknown)
			case "broken":
				return nil, io.ErrUnexpectedEOF
			}
			return map[string]any{"app_id": app, "user_id": user}, nil
		},
		Histories: NewHistories(), Live: NewLive(), Hosts: []string{"Poller.example.com"},
	}
	if change != nil {
		change(&r.cfg)
	}
	page, err := New(r.cfg, http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(page)
	r.server = server
	t.Cleanup(func() {
		r.cfg.Live.Close()
		server.Close()
	})
	return r
}

// answer is what came back.
type answered struct {
	status int
	header http.Header
	body   string
}

// get asks for a path with some headers, "Name: value" each; Host is one.
func (r *rig) get(path string, headers ...string) answered {
	r.t.Helper()
	return r.do(http.MethodGet, path, headers...)
}

func (r *rig) do(method, path string, headers ...string) answered {
	r.t.Helper()
	resp := r.open(r.t.Context(), method, path, headers...)
	defer resp.Body.Close()
	var body io.Reader = resp.Body
	if resp.Header.Get("Content-Encoding") == "gzip" && method == http.MethodGet && resp.StatusCode == http.StatusOK {
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			r.t.Fatalf("%s %s: %v", method, path, err)
		}
		body = z
	}
	text, err := io.ReadAll(body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answered{resp.StatusCode, resp.Header, string(text)}
}

// open asks, and leaves the body to the caller. Each request has a connection of its own.
func (r *rig) open(ctx context.Context, method, path string, headers ...string) *http.Response {
	r.t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, r.server.URL+path, http.NoBody)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			request.Host = value
		}
		request.Header.Set(name, value)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	resp, err := client.Do(request)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

// viewer is a browser that reads the live list.
type viewer struct {
	t     testing.TB
	body  io.Closer
	lines *bufio.Scanner
	leave context.CancelFunc
}

// view opens the live list.
func (r *rig) view(query string) *viewer {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	resp := r.open(ctx, http.MethodGet, "/api/transitions"+query)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatalf("live list%s: %s, %v", query, resp.Status, resp.Header)
	}
	v := &viewer{t: r.t, body: resp.Body, lines: bufio.NewScanner(resp.Body), leave: cancel}
	v.lines.Buffer(nil, 1<<20)
	r.t.Cleanup(v.close)
	return v
}

func (v *viewer) close() {
	v.leave()
	_ = v.body.Close()
}

// next is the next batch; over says that there is none, because the list has ended.
func (v *viewer) next() (b Batch, over bool) {
	v.t.Helper()
	event := ""
	for v.lines.Scan() {
		line := v.lines.Text()
		if name, found := strings.CutPrefix(line, "event: "); found {
			event = name
		}
		if data, found := strings.CutPrefix(line, "data: "); found {
			if event != "told" {
				v.t.Fatalf("an event named %q", event)
			}
			if err := json.Unmarshal([]byte(data), &b); err != nil {
				v.t.Fatalf("batch %s: %v", data, err)
			}
			return b, false
		}
	}
	return b, true
}

// gather reads batches until so many events were shown or passed over.
func (v *viewer) gather(n int) (shown []Told, passed int) {
	v.t.Helper()
	for len(shown)+passed < n {
		b, over := v.next()
		if over {
			v.t.Fatalf("the list has ended after %d shown and %d passed over, want %d", len(shown), passed, n)
		}
		shown, passed = append(shown, b.Events...), passed+b.Passed
	}
	return shown, passed
}

// event is event seq of an app, of the user u<seq>.
func event(app uint32, seq int64, kind presence.Kind) *presence.Event {
	e := &presence.Event{AppID: app, Log: "7f3a90c2"}
	e.Seq, e.Kind, e.User = seq, kind, presence.User{No: uint32(seq), ID: fmt.Sprintf("u%d", seq)}
	e.From, e.To, e.Detail = presence.Online, presence.Offline, presence.Timeout
	if kind == presence.KindOnline {
		e.From, e.To, e.Detail = presence.Offline, presence.Online, presence.NoDetail
	}
	e.ObservedAt = begin.Add(time.Duration(seq) * time.Second)
	if kind != presence.KindBaseline {
		e.After = e.ObservedAt.Add(-time.Minute)
	}
	return e
}

// until waits for a condition.
func until(t testing.TB, what string, reached func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !reached() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for: %s", patience, what)
		}
		<-time.After(5 * time.Millisecond)
	}
}
