package zimsim

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var town = map[string]State{"on1": Online, "on2": Online, "on3": Online, "on4": Online,
	"off1": Timeout, "off2": Timeout, "out1": LoggedOut, "out2": LoggedOut}

var townIDs = []string{"on1", "on2", "on3", "on4", "off1", "off2", "out1", "out2"}

var townSaid = map[string]string{"on1": "Online", "on2": "Online", "on3": "Online", "on4": "Online",
	"off1": "Offline", "off2": "Offline", "out1": "660200001", "out2": "660200001"}

// Every fault strikes exactly once: the same question before and after it gets a clean answer.
func TestFaults(t *testing.T) {
	lines := func(r reply) int { return len(r.Result) + len(r.ErrorList) }
	strange := func(r reply) (n int) {
		for _, u := range r.Result {
			if u.Status != "Online" && u.Status != "Offline" {
				n++
			}
		}
		return n
	}
	for _, test := range []struct {
		fault  string
		struck func(reply, error) bool
	}{
		{"http", func(r reply, err error) bool { return r.status == 503 && strings.Contains(r.text, "<html>") }},
		{"http:429", func(r reply, err error) bool { return r.status == 429 }},
		{"html", func(r reply, err error) bool { return r.status == 200 && strings.Contains(r.text, "<html>") }},
		{"cut_headers", func(r reply, err error) bool { return r.status == 0 && err != nil }},
		{"cut_body", func(r reply, err error) bool { return r.status == 200 && errors.Is(err, io.ErrUnexpectedEOF) }},
		{"truncated", func(r reply, err error) bool { return err == nil && r.status == 200 && !json.Valid([]byte(r.text)) }},
		{"code", func(r reply, err error) bool { return r.Code == 1 && lines(r) == 0 }},
		{"code:7", func(r reply, err error) bool { return r.Code == 7 && lines(r) == 0 }},
		{"code:100000005", func(r reply, err error) bool { return r.Code == 100000005 && lines(r) == 0 }},
		{"partial", func(r reply, err error) bool { return r.Code == 0 && lines(r) == 4 }},
		{"partial:1", func(r reply, err error) bool { return r.Code == 0 && lines(r) == 0 }},
		{"invented:0.25", func(r reply, err error) bool { return lines(r) == 10 && len(r.said()) == 10 }},
		{"unknown_status:1", func(r reply, err error) bool { return strange(r) == 6 && lines(r) == 8 }},
		{"lower_case", func(r reply, err error) bool { return strange(r) == 6 && r.said()["on1"] == "online" }},
		{"empty", func(r reply, err error) bool { return r.Code == 0 && lines(r) == 0 }},
		{"both_lists:1", func(r reply, err error) bool { return len(r.ErrorList) == 8 && r.said()["off1"] == "Offline660200001" }},
		{"twice:1", func(r reply, err error) bool { return len(r.Result) == 12 && r.said()["on1"] == "OnlineOnline" }},
		{"contradictory:1", func(r reply, err error) bool {
			return len(r.Result) == 12 && (r.said()["on1"] == "OnlineOffline" || r.said()["on1"] == "OfflineOnline")
		}},
		{"lost:1", func(r reply, err error) bool {
			return r.Code == 0 && strange(r) == 0 && lines(r) == 8 && r.said()["on1"] == "Offline" && r.said()["out1"] == "660200001"
		}},
		{"gone:1", func(r reply, err error) bool {
			return r.Code == 0 && lines(r) == 8 && r.said()["on4"] == "660200001" && r.said()["off1"] == "Offline"
		}},
		{"slow:20ms", func(r reply, err error) bool { return cmp.Equal(r.said(), townSaid) }},
		{"slow_answer:20ms", func(r reply, err error) bool { return cmp.Equal(r.said(), townSaid) }},
	} {
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			s := start(t, nil)
			mustSet(t, s, town)
			list, err := ParseFaults(test.fault + "x1")
			if err != nil {
				t.Fatal(err)
			}
			client := browser(t)
			clean := func(when string) {
				if r := ask(t, client, s.URL(), valid(townIDs...).String()); !cmp.Equal(r.said(), townSaid) {
					t.Errorf("%s: got %q", when, r.text)
				}
			}
			clean("before")
			if err := s.AddFaults(list...); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			r, err := tryAsk(client, s.URL(), valid(townIDs...).String())
			if strings.HasPrefix(r.text, `{"Code":`) && json.Valid([]byte(r.text)) {
				if err := json.Unmarshal([]byte(r.text), &r); err != nil {
					t.Fatal(err)
				}
			}
			if !test.struck(r, err) {
				t.Errorf("struck: got %d %q, %v", r.status, r.text, err)
			}
			if took := time.Since(began); took < list[0].Delay {
				t.Errorf("took %v, want at least %v", took, list[0].Delay)
			}
			clean("after")
			stats := s.App(0).Stats()
			if stats.Arrivals != 3 || stats.Faults[string(list[0].Kind)] != 1 || stats.RepeatedNonces != 0 {
				t.Errorf("books: %+v", stats)
			}
		})
	}
}

// Who is said to have gone is the same user each time, about the share that was asked for; a batch of them alone has
// the code that ZIM has for it; and the truth stays what it was.
func TestLiesAreOfTheSameUsers(t *testing.T) {
	s := start(t, func(c *Config) { c.Apps[0].Rate = -1 })
	client := browser(t)
	ids := many(100)
	states := map[string]State{}
	for _, id := range ids {
		states[id] = Online
	}
	mustSet(t, s, states)
	_, changes := s.App(0).Changes(0)
	for text, word := range map[string]string{"lost:0.3": "Offline", "gone:0.3": "660200001"} {
		list, err := ParseFaults(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.AddFaults(list...); err != nil {
			t.Fatal(err)
		}
		first := ask(t, client, s.URL(), valid(ids...).String()).said()
		if again := ask(t, client, s.URL(), valid(ids...).String()).said(); !cmp.Equal(first, again) {
			t.Errorf("%s: %s", text, cmp.Diff(first, again))
		}
		var gone []string
		for id, said := range first {
			if said == word {
				gone = append(gone, id)
			}
		}
		if len(first) != 100 || len(gone) < 20 || len(gone) > 40 {
			t.Errorf("%s: %d of %d users are gone, want about 30 of 100", text, len(gone), len(first))
		}
		if r := ask(t, client, s.URL(), valid(gone...).String()); (r.Code == 660200001) != (text == "gone:0.3") {
			t.Errorf("%s: code %d for %d users who are gone", text, r.Code, len(gone))
		}
		s.ClearFaults()
	}
	kept, _ := s.App(0).Changes(0)
	if len(kept) != 100 || changes != 0 {
		t.Errorf("%d changes, want those of the beginning alone", len(kept))
	}
}

// A slow fault looks at the users after its delay, slow_answer before.
func TestSlowLooks(t *testing.T) {
	for fault, want := range map[Kind]string{Slow: "Online", SlowAnswer: "660200001"} {
		s := start(t, nil)
		client := browser(t)
		if err := s.AddFaults(Fault{Kind: fault, Delay: 100 * time.Millisecond, Count: 1}); err != nil {
			t.Fatal(err)
		}
		said := make(chan string)
		go func() {
			r, err := tryAsk(client, s.URL(), valid("a").String())
			if err != nil {
				t.Error(err)
			}
			decode(t, &r)
			said <- r.said()["a"]
		}()
		await(t, func() bool { return s.App(0).Stats().Faults[string(fault)] == 1 })
		mustSet(t, s, map[string]State{"a": Online})
		if got := <-said; got != want {
			t.Errorf("%s: got %q, want %q", fault, got, want)
		}
	}
}

// await polls until the condition holds; the limit is for a test that fails.
func await(t testing.TB, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); {
		if time.Now().After(deadline) {
			t.Fatal("the condition never came true")
		}
		time.Sleep(time.Millisecond)
	}
}

// Requests that hang end when the client leaves, when the fault is cleared, and when the server closes.
func TestHang(t *testing.T) {
	for name, end := range map[string]func(s *Server, leave func()){
		"client leaves": func(s *Server, leave func()) { leave() },
		"cleared":       func(s *Server, leave func()) { s.ClearFaults(Hang) },
		"closed":        func(s *Server, leave func()) { s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(c *Config) { c.Faults = []Fault{{Kind: Hang, Count: 1}} })
			client := browser(t)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/?"+valid("a").String(), nil)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error)
			go func() {
				response, err := client.Do(request)
				if err == nil {
					response.Body.Close()
				}
				ended <- err
			}()
			await(t, func() bool { return s.App(0).Stats().Faults["hang"] == 1 })
			select {
			case err := <-ended:
				t.Fatalf("did not hang: %v", err)
			default:
			}
			end(s, leave)
			if err := <-ended; err == nil {
				t.Error("got an answer, want none")
			}
			client.CloseIdleConnections()
			s.inside.wait()
		})
	}
}

// The connection's next request is read by nobody and gets an end instead of an answer.
func TestKillKeepAlive(t *testing.T) {
	s := start(t, func(c *Config) { c.Faults = []Fault{{Kind: KillKeepAlive, Count: 1}} })
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reader := bufio.NewReader(conn)
	send := func() (*http.Response, error) {
		io.WriteString(conn, "GET /?"+valid("a").String()+" HTTP/1.1\r\nHost: zim\r\n\r\n")
		response, err := http.ReadResponse(reader, nil)
		if err == nil {
			io.Copy(io.Discard, response.Body)
		}
		return response, err
	}
	if response, err := send(); err != nil || response.StatusCode != http.StatusOK || response.Close {
		t.Fatalf("first request: got %v, %v, want 200 and no announcement", response, err)
	}
	if response, err := send(); err == nil {
		t.Fatalf("second request: got %v, want the connection's end", response.Status)
	}
	if stats := s.App(0).Stats(); stats.Arrivals != 1 || stats.Unread != 1 {
		t.Errorf("books: %d arrivals, %d unread, want 1 and 1", stats.Arrivals, stats.Unread)
	}
}

// Go's own client silently sends such a request again; the books must show what it did.
func TestKillKeepAliveRepeats(t *testing.T) {
	s := start(t, func(c *Config) { c.Faults = []Fault{{Kind: KillKeepAlive, Count: 1}} })
	client := browser(t)
	for range 2 {
		if r := ask(t, client, s.URL(), valid("a").String()); r.Code != codeNoSession {
			t.Errorf("got %q", r.text)
		}
	}
	if stats := s.App(0).Stats(); stats.Arrivals != 2 || stats.Unread != 1 {
		t.Errorf("books: %d arrivals, %d unread, want 2 and 1", stats.Arrivals, stats.Unread)
	}
}

// A fault of one app leaves the others alone; a probability is met.
func TestFaultAim(t *testing.T) {
	s := start(t, func(c *Config) {
		c.Apps = append(c.Apps, AppConfig{ID: 2, Secret: "s", Rate: -1})
		c.Faults = []Fault{{Kind: Code, Code: 3, App: testApp, Probability: 0.3}, {Kind: Code, Code: 7, App: 2}}
	})
	client := browser(t)
	struck := 0
	for range 400 {
		switch r := ask(t, client, s.URL(), valid("a").String()); r.Code {
		case 3:
			struck++
		case codeNoSession:
		default:
			t.Fatalf("got %q", r.text)
		}
	}
	if struck < 90 || struck > 150 {
		t.Errorf("struck %d of 400, want about 120", struck)
	}
}

// Of the faults that take the answer's place only the first strikes; those that spoil data add up.
func TestFaultsTogether(t *testing.T) {
	s := start(t, func(c *Config) {
		c.Faults = []Fault{{Kind: HTTPError, Count: 1}, {Kind: HTML, Count: 1}, {Kind: Empty}, {Kind: Partial}, {Kind: Truncated, Count: 1}, {Kind: CutBody, Count: 1}}
	})
	client := browser(t)
	for i, want := range []map[string]uint64{
		{"http": 1},
		{"http": 1, "html": 1},
		{"http": 1, "html": 1, "empty": 1, "partial": 1, "truncated": 1},
		{"http": 1, "html": 1, "empty": 2, "partial": 2, "truncated": 1, "cut_body": 1},
		{"http": 1, "html": 1, "empty": 3, "partial": 3, "truncated": 1, "cut_body": 1},
	} {
		tryAsk(client, s.URL(), valid("a", "b").String())
		if diff := cmp.Diff(s.App(0).Stats().Faults, want); diff != "" {
			t.Errorf("request %d: %s", i, diff)
		}
	}
	if r := ask(t, client, s.URL(), valid("a", "b").String()); r.Code != 0 || len(r.said()) != 0 || r.RequestId == "" {
		t.Errorf("nobody to leave out: got %q", r.text)
	}
}

// In somebody else's http server, too, Close ends the requests that hang.
func TestHangElsewhere(t *testing.T) {
	s := New(Config{Apps: []AppConfig{{ID: testApp, Secret: testSecret}}, Faults: []Fault{{Kind: Hang}}})
	elsewhere := httptest.NewServer(s.Gateway())
	ended := make(chan error)
	client := browser(t)
	go func() {
		_, err := tryAsk(client, elsewhere.URL, valid("a").String())
		ended <- err
	}()
	await(t, func() bool { return s.App(0).Stats().Faults["hang"] == 1 })
	s.Close()
	if err := <-ended; err == nil {
		t.Error("got an answer, want none")
	}
	elsewhere.Close()
}
