package zimsim

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// control sends a request to the control interface and returns status and text.
func control(t *testing.T, s *Server, method, path, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.ControlURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := browser(t).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(text))
}

// One server, step by step; a * in what is wanted stands for anything.
func TestControl(t *testing.T) {
	s := start(t, nil)
	for _, step := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/truth", "", 200, `{"at":"*","users":{}}`},
		{"PUT", "/users/alice", `{"state":"online"}`, 200, `{"at":"*","users":1}`},
		{"PUT", "/users/a%2Fb%20c%3F", `{"state":"timeout"}`, 200, `{"at":"*","users":1}`},
		{"PUT", "/users/alice", `{"state":"asleep"}`, 400, `{"error":"*"}`},
		{"PUT", "/users/alice", `{}`, 400, `{"error":"*"}`},
		{"PUT", "/users/alice", `{"state":"online"} x`, 400, `{"error":"*"}`},
		{"POST", "/users", `{"bob":"online","alice":"logged_out"}`, 200, `{"at":"*","users":2}`},
		{"POST", "/users", `{"bob":"away"}`, 400, `{"error":"*"}`},
		{"GET", "/truth", "", 200, `{"at":"*","users":{"a/b c?":"timeout","alice":"logged_out","bob":"online"}}`},
		{"GET", "/truth?user=bob", "", 200, `{"detail":"","known":true,"state":"online","status":"online","user":"bob"}`},
		{"GET", "/truth?user=eve", "", 200, `{"detail":"no_session","known":false,"state":"logged_out","status":"offline","user":"eve"}`},
		{"GET", "/changes?since=2", "", 200, `{"changes":[{"seq":3,"user":"alice","at":"*","from":"online","to":"logged_out","detail":"no_session"},` +
			`{"seq":4,"user":"bob","at":"*","from":"logged_out","to":"online","detail":""}],"dropped":0}`},
		{"GET", "/changes?since=4", "", 200, `{"changes":[],"dropped":0}`},
		{"GET", "/changes?since=x", "", 400, `{"error":"*"}`},
		{"GET", "/rate", "", 200, `{"rate":-1}`},
		{"PUT", "/rate", `{"rate":5}`, 200, `{"rate":5}`},
		{"PUT", "/rate", `{"rate":0}`, 200, `{"rate":20}`},
		{"PUT", "/rate", `{"rat":0}`, 400, `{"error":"*"}`},
		{"GET", "/faults", "", 200, `[]`},
		{"PUT", "/faults", `[{"kind":"slow","delay":"2s","probability":0.5},{"kind":"hang","count":2}]`, 200, `[{"kind":"slow"*"delay":"2s"},{"kind":"hang"*"count":2*}]`},
		{"POST", "/faults", `{"kind":"html"}`, 200, `[{"kind":"slow"*},{"kind":"hang"*},{"kind":"html"*}]`},
		{"PUT", "/faults", `[{"kind":"html"},{"kind":"flood"}]`, 400, `{"error":"fault \"flood\": no such kind; kinds: http, hang, *"}`},
		{"DELETE", "/faults?kind=html&kind=slow", "", 200, `[{"kind":"hang"*}]`},
		{"PUT", "/faults", `{"kind":"gone","share":1}`, 200, `[{"kind":"gone","probability":1,"share":1}]`},
		{"PUT", "/faults", `{"faults":"code:7x3,http@0"}`, 200, `[{"kind":"code"*"count":3*"code":7*}]`},
		{"DELETE", "/faults", "", 200, `[]`},
		{"PUT", "/clock", `{"skew":"-11m"}`, 200, `{"now":"*","skew":"-11m0s"}`},
		{"PUT", "/clock", `{"skew":"soon"}`, 400, `{"error":"*"}`},
		{"GET", "/stats", "", 200, `{"app":12345,"users":3,"rate":20,"arrivals":0,"most_per_second":0,"smallest_gap_ns":-1,*`},
		{"GET", "/arrivals", "", 200, `{"first":0,"offsets_ns":[]}`},
		{"POST", "/apps", `{"app":7,"secret":"s","rate":3,"living":{"users":10,"speed":60}}`, 200, `{"app":7,"users":10,"rate":3,*`},
		{"POST", "/apps", `{"app":7,"secret":"s"}`, 400, `{"error":"*"}`},
		{"GET", "/apps", "", 200, `{"apps":[7,12345],"strangers":0}`},
		{"GET", "/truth", "", 400, `{"error":"*"}`},
		{"GET", "/truth?app=8", "", 400, `{"error":"*"}`},
		{"GET", "/truth?app=x", "", 400, `{"error":"*"}`},
		{"PUT", "/users/user-000007?app=7", `{"state":"timeout"}`, 200, `{"at":"*","users":1}`},
		{"PUT", "/users/alice?app=7", `{"state":"timeout"}`, 400, `{"error":"*"}`},
		{"GET", "/truth?app=7&user=user-000007", "", 200, `{"detail":"timeout","known":true,"state":"timeout","status":"offline","user":"user-000007"}`},
		{"GET", "/rate?app=7", "", 200, `{"rate":3}`},
	} {
		status, text := control(t, s, step.method, step.path, step.body)
		if status != step.status || !like(text, step.want) {
			t.Errorf("%s %s %s: got %d %s, want %d %s", step.method, step.path, step.body, status, text, step.status, step.want)
		}
	}
}

// like compares with a pattern in which * stands for anything.
func like(text, pattern string) bool {
	parts := strings.Split(regexp.QuoteMeta(pattern), `\*`)
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(text)
}

// What the control interface says about a change can be read back in Go.
func TestControlReadsBack(t *testing.T) {
	s := start(t, nil)
	mustSet(t, s, town)
	ask(t, browser(t), s.URL(), valid("on1").String())
	var changes struct {
		Changes []Change
		Dropped uint64
	}
	var stats Stats
	for path, into := range map[string]any{"/changes": &changes, "/stats": &stats} {
		_, text := control(t, s, "GET", path, "")
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	want, _ := s.App(0).Changes(0)
	if diff := cmp.Diff(changes.Changes, want); diff != "" || len(want) != 6 {
		t.Error(diff)
	}
	if diff := cmp.Diff(stats, s.App(0).Stats()); diff != "" || stats.Arrivals != 1 || stats.IDs != 1 || stats.Answers != 1 {
		t.Errorf("%+v: %s", stats, diff)
	}
	if since := time.Since(stats.First); since < 0 || since > time.Minute {
		t.Errorf("first arrival %v ago", since)
	}
}

func TestStrangers(t *testing.T) {
	s := start(t, nil)
	client := browser(t)
	ask(t, client, s.URL(), valid("a").set("AppId", "9").String())
	ask(t, client, s.URL(), "")
	if got := s.Strangers(); got != 2 || s.App(0).Stats().Arrivals != 0 {
		t.Errorf("%d strangers, want 2; books %+v", got, s.App(0).Stats())
	}
}
