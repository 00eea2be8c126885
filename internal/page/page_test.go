package page

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Each path answers what it is for, to GET and HEAD, and says nothing more than it has to to anything else.
func TestAnswers(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []struct {
		method, path string
		status       int
		kind, has    string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", "<!doctype html>"},
		{"HEAD", "/", 200, "text/html; charset=utf-8", ""},
		{"GET", "/?x=1", 200, "text/html; charset=utf-8", "<!doctype html>"},
		{"GET", "/page/index.html", 200, "text/html; charset=utf-8", "<!doctype html>"},
		{"GET", "/page/", 404, "", ""},
		{"GET", "/page/nothing.js", 404, "", ""},
		{"GET", "/page/../page.go", 404, "", ""},
		{"GET", "/page", 404, "", ""},
		{"GET", "/index.html", 404, "", ""},
		{"POST", "/", 405, "", ""},
		{"GET", "/api/board", 200, "application/json", `"total":0`},
		{"HEAD", "/api/board", 200, "application/json", ""},
		{"GET", "/api/board?app=2", 200, "application/json", `"app":2`},
		{"GET", "/api/board?app=", 200, "application/json", `"app":1`},
		{"GET", "/api/board?app=3", 404, "", ""},
		{"GET", "/api/board?app=x", 400, "", ""},
		{"GET", "/api/board?app=0", 400, "", ""},
		{"GET", "/api/board?app=4294967296", 400, "", ""},
		{"GET", "/api/board?%", 400, "", ""},
		{"POST", "/api/board", 405, "", ""},
		{"PUT", "/api/user?app=1&user=alice", 405, "", ""},
		{"GET", "/api/history?app=1", 200, "application/json", `"step":15`},
		{"GET", "/api/history", 400, "", ""},
		{"GET", "/api/history?app=1&since=x", 400, "", ""},
		{"HEAD", "/api/transitions", 200, "text/event-stream", ""},
		{"GET", "/api/transitions?kind=away", 400, "", ""},
		{"GET", "/api/transitions?user=" + strings.Repeat("a", mostFilter+1), 400, "", ""},
		{"DELETE", "/api/transitions", 405, "", ""},
		{"GET", "/api/user?app=1&user=alice", 200, "application/json", `"user_id":"alice"`},
		{"GET", "/api/user?app=1&user=%00%FF", 200, "application/json", `"user_id"`},
		{"GET", "/api/user?app=1&user=", 200, "application/json", `"user_id":""`},
		{"GET", "/api/user?app=1", 400, "", ""},
		{"GET", "/api/user?user=alice", 400, "", ""},
		{"GET", "/api/user?app=1&user=a&user=b", 400, "", ""},
		{"GET", "/api/user?app=1&user=nobody", 404, "", ""},
		{"GET", "/api/user?app=1&user=broken", 503, "", ""},
		{"GET", "/api/", 404, "", ""},
		{"GET", "/api/boards", 404, "", ""},
	} {
		got := r.do(c.method, c.path)
		if got.status != c.status || c.kind != "" && got.header.Get("Content-Type") != c.kind || !strings.Contains(got.body, c.has) {
			t.Errorf("%s %s = %d %s\n%.300s\nwant %d %s with %q", c.method, c.path, got.status, got.header.Get("Content-Type"), got.body, c.status, c.kind, c.has)
		}
		if c.status == 405 && got.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s %s allows %q", c.method, c.path, got.header.Get("Allow"))
		}
		if c.method == "HEAD" && got.body != "" {
			t.Errorf("HEAD %s has the body %.100s", c.path, got.body)
		}
	}
}

// No answer is kept by anybody but the files, and no page of others can frame, read or embed one.
func TestHeaders(t *testing.T) {
	r := newRig(t, nil)
	for path, policy := range map[string]string{"/": pagePolicy, "/page/index.html": pagePolicy, "/page/nothing": pagePolicy, "/api/board": dataPolicy, "/api/nothing": dataPolicy} {
		got := r.get(path).header
		want := map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Access-Control-Allow-Origin": "",
		}
		for name, value := range want {
			if got.Get(name) != value {
				t.Errorf("%s: %s = %q, want %q", path, name, got.Get(name), value)
			}
		}
		if strings.HasPrefix(path, "/api/") != (got.Get("Cache-Control") == "no-store") && path != "/page/nothing" {
			t.Errorf("%s: Cache-Control = %q", path, got.Get("Cache-Control"))
		}
	}
	for _, banned := range []string{"unsafe-inline", "unsafe-eval", "*", "http:", "https:"} {
		if strings.Contains(pagePolicy, banned) {
			t.Errorf("the page's policy allows %s", banned)
		}
	}
}

// Only names are answered that no foreign page can have lead here; what is not the page's is not judged by it.
func TestHosts(t *testing.T) {
	r := newRig(t, nil)
	for host, good := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:8080": true, "10.1.2.3:8080": true, "[::1]": true, "[::1]:8080": true,
		"localhost": true, "LOCALHOST:8080": true, "localhost.": true, "poller.localhost:1": true,
		"poller.example.com": true, "POLLER.example.com:8080": true, "poller.example.com.": true,
		"evil.example": false, "evil.example:8080": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"xlocalhost": false, "a.poller.example.com": false, "example.com": false, "poller": false, "127.0.0.1.nip.io:8080": false,
		"0x7f000001": false, "2130706433": false,
	} {
		for _, path := range []string{"/", "/page/index.html", "/api/board", "/api/history?app=1", "/api/user?app=1&user=a", "/api/nothing"} {
			got := r.get(path, "Host: "+host)
			if refused := got.status == http.StatusForbidden; refused == good {
				t.Errorf("%s of %s: %d, want it answered: %t", path, host, got.status, good)
			} else if refused && (!strings.Contains(got.body, "http.hosts") || strings.Contains(got.body, "evil")) {
				t.Errorf("%s of %s: %q does not name the key, or repeats the name", path, host, got.body)
			}
		}
		if got := r.do(http.MethodHead, "/api/transitions", "Host: "+host); (got.status == http.StatusOK) != good {
			t.Errorf("the live list of %s: %d, want it answered: %t", host, got.status, good)
		}
		if got := r.get("/metrics", "Host: "+host); got.status != http.StatusNotFound {
			t.Errorf("/metrics of %s: %d, want the answer of who else is there", host, got.status)
		}
	}
	if len(r.asked) > 13 {
		t.Errorf("%d users were asked about, also for pages that were refused", len(r.asked))
	}
}

// Data is not given to pages of others, as far as browsers say so; the page itself may be led to from anywhere.
func TestSites(t *testing.T) {
	r := newRig(t, nil)
	host := strings.TrimPrefix(r.server.URL, "http://")
	for header, good := range map[string]bool{
		"Sec-Fetch-Site: same-origin": true, "Sec-Fetch-Site: none": true, "Accept: */*": true, "Origin: http://" + host: true,
		"Sec-Fetch-Site: cross-site": false, "Sec-Fetch-Site: same-site": false, "Sec-Fetch-Site: other": false,
		"Origin: http://evil.example": false, "Origin: null": false, "Origin: http://" + host + "0": false, "Origin: %": false,
	} {
		for _, path := range []string{"/api/board", "/api/history?app=1", "/api/user?app=1&user=a"} {
			if got := r.get(path, header); (got.status == http.StatusOK) != good {
				t.Errorf("%s with %s: %d, want it answered: %t", path, header, got.status, good)
			}
		}
		if got := r.do(http.MethodHead, "/api/transitions", header); (got.status == http.StatusOK) != good {
			t.Errorf("the live list with %s: %d, want it answered: %t", header, got.status, good)
		}
		if got := r.get("/", header); got.status != http.StatusOK {
			t.Errorf("the page with %s: %d", header, got.status)
		}
	}
}

// A browser that has a file is not sent it again, and one that takes gzip gets it so.
func TestAssets(t *testing.T) {
	r := newRig(t, nil)
	plain := r.get("/")
	zipped := r.get("/", "Accept-Encoding: br, gzip;q=0.8")
	if plain.body != zipped.body || zipped.header.Get("Content-Encoding") != "gzip" || plain.header.Get("Content-Encoding") != "" {
		t.Errorf("plain %v, zipped %v: not the same text", plain.header, zipped.header)
	}
	tag, other := plain.header.Get("Etag"), zipped.header.Get("Etag")
	if tag == "" || other == "" || tag == other || plain.header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("tags %q and %q, Vary %q: the two forms cannot be told apart", tag, other, plain.header.Get("Vary"))
	}
	for _, c := range []struct {
		has, takes string
		status     int
	}{
		{tag, "identity", 304}, {"W/" + tag, "identity", 304}, {`"x", ` + tag, "identity", 304}, {"*", "gzip", 304}, {other, "gzip", 304},
		{other, "identity", 200}, {tag, "gzip", 200}, {`"x"`, "identity", 200}, {tag, "gzip;q=0", 304},
	} {
		got := r.get("/", "If-None-Match: "+c.has, "Accept-Encoding: "+c.takes)
		if got.status != c.status || c.status == 304 && got.body != "" {
			t.Errorf("with %s, taking %s: %d and %d bytes, want %d", c.has, c.takes, got.status, len(got.body), c.status)
		}
	}
}

// What is asked about users is asked for one at a time, and who waits in vain is told so.
func TestOneUserAtATime(t *testing.T) {
	r := newRig(t, nil)
	r.block = make(chan struct{})
	done := make(chan answered, 3)
	for _, user := range []string{"a", "b", "c"} {
		go func() { done <- r.get("/api/user?app=1&user=" + user) }()
	}
	select {
	case got := <-done:
		t.Fatalf("answered before the first was: %v", got)
	case <-time.After(50 * time.Millisecond):
	}
	close(r.block)
	for range 3 {
		if got := <-done; got.status != http.StatusOK {
			t.Errorf("got %v", got)
		}
	}
	if len(r.asked) != 3 || r.most.Load() != 1 {
		t.Errorf("%v were asked about, %d at a time", r.asked, r.most.Load())
	}
}

// A board of all apps is bounded, one of a single app is whole.
func TestBoardIsBounded(t *testing.T) {
	r := newRig(t, nil)
	r.now.Apps = nil
	for id := range uint32(MostApps + 5) {
		r.now.Apps = append(r.now.Apps, App{App: id + 1, Incidents: make([]Incident, 10), Schedule: "@every 1m", Users: &Users{}, Ages: &Ages{Under: make([]float64, 11), Users: make([]int, 12)}})
	}
	r.now.Checks = []Check{{Name: "nats", OK: true}, {Name: "zim/7", OK: true}, {Name: "zim/8"}, {Name: "zim/1005", OK: true}, {Name: "zim/10050"}}
	names := func(b Board) (all []string) {
		for _, c := range b.Checks {
			all = append(all, c.Name)
		}
		return all
	}
	read := func(query string) (b Board, size int) {
		got := r.get("/api/board" + query)
		if err := json.Unmarshal([]byte(got.body), &b); err != nil {
			t.Fatal(err)
		}
		return b, len(got.body)
	}
	all, size := read("")
	if len(all.Apps) != MostApps || len(all.Apps[7].Incidents) != 1 || size > 2<<20 {
		t.Errorf("%d apps with %d incidents in %d bytes", len(all.Apps), len(all.Apps[7].Incidents), size)
	}
	if got, want := names(all), []string{"nats", "zim/8", "zim/10050"}; !slices.Equal(got, want) || all.Judged != 5 {
		t.Errorf("checks %v of %d, want %v of 5", got, all.Judged, want)
	}
	one, _ := read("?app=1005")
	if got, want := names(one), []string{"nats", "zim/1005"}; !slices.Equal(got, want) || one.Judged != 5 {
		t.Errorf("checks of one app %v of %d, want %v of 5", got, one.Judged, want)
	}
	if len(one.Apps) != 1 || len(one.Apps[0].Incidents) != 10 {
		t.Errorf("of one app: %d apps, %d incidents", len(one.Apps), len(one.Apps[0].Incidents))
	}
	r.now.Apps = r.now.Apps[:FewApps]
	if few, _ := read(""); len(few.Checks) != 5 || len(few.Apps) != FewApps || len(few.Apps[0].Incidents) != 10 {
		t.Errorf("of few: %d apps, %d incidents", len(few.Apps), len(few.Apps[0].Incidents))
	}
	if len(r.now.Apps[0].Incidents) != 10 {
		t.Error("the board was cut where it is kept")
	}
}

// A history is JSON with null where nothing is known.
func TestHistoryJSON(t *testing.T) {
	r := newRig(t, nil)
	now := time.Now().Truncate(Step)
	s := Nothing()
	s.Online, s.Delay = 1_000_000, 0.25
	r.cfg.Histories.Add(1, now.Add(-2*Step), s)
	got := r.get("/api/history?app=1")
	var h struct {
		Times  []int64
		Online []*float64
		Delay  []*float64
		Lag    []*float64
	}
	if err := json.Unmarshal([]byte(got.body), &h); err != nil {
		t.Fatal(err)
	}
	n := len(h.Times)
	if n < 1 || n > 4 || len(h.Online) != n || *h.Online[0] != 1_000_000 || *h.Delay[0] != 0.25 || h.Lag[0] != nil || h.Times[0] != now.Add(-2*Step).Unix() {
		t.Errorf("%s", got.body)
	}
	if later := r.get("/api/history?app=1&since=" + "99999999999").body; !strings.Contains(later, `"times":[]`) || !strings.Contains(later, `"online":[]`) {
		t.Errorf("of the future: %s", later)
	}
	if text, err := json.Marshal(Column{1, Gap(), 0.5}); err != nil || !cmp.Equal(string(text), "[1,null,0.5]") {
		t.Errorf("%s, %v", text, err)
	}
}
