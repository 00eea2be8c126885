package zimsim

import (
	"crypto/tls"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAnswer(t *testing.T) {
	s := start(t, nil)
	mustSet(t, s, town)
	client := browser(t)
	orders := map[string]bool{}
	requestIDs := map[string]bool{}
	for range 20 {
		r := ask(t, client, s.URL(), valid(townIDs...).String())
		if diff := cmp.Diff(r.said(), townSaid); diff != "" || r.Code != 0 || r.Message != "success" {
			t.Fatalf("got %q: %s", r.text, diff)
		}
		if n, err := strconv.ParseUint(r.RequestId, 10, 64); err != nil || n <= 1<<53 || requestIDs[r.RequestId] {
			t.Errorf("request id %q: want a new string over 2^53", r.RequestId)
		}
		requestIDs[r.RequestId] = true
		order := ""
		for _, u := range r.Result {
			order += u.UserId
		}
		orders[order] = true
		if date, err := http.ParseTime(r.header.Get("Date")); err != nil || time.Since(date).Abs() > time.Minute {
			t.Errorf("Date %q", r.header.Get("Date"))
		}
	}
	if len(orders) < 2 {
		t.Error("the order of Result never varied")
	}
}

// All the ways in which the vendor's documents leave the answer open.
func TestUnsettled(t *testing.T) {
	for _, test := range []struct {
		name string
		set  Unsettled
		ids  []string
		code int
		said map[string]string
	}{
		{"all failed", Unsettled{}, []string{"out1", "out2"}, codeNoSession, map[string]string{"out1": "660200001", "out2": "660200001"}},
		{"all failed, zero", Unsettled{AllFailedZero: true}, []string{"out1"}, 0, map[string]string{"out1": "660200001"}},
		{"lower", Unsettled{StatusCase: "lower"}, []string{"on1", "off1"}, 0, map[string]string{"on1": "online", "off1": "offline"}},
		{"upper", Unsettled{StatusCase: "upper"}, []string{"on1", "off1"}, 0, map[string]string{"on1": "ONLINE", "off1": "OFFLINE"}},
		{"bad id alone", Unsettled{BadIDAlone: true}, []string{"on1", "a/b", strings.Repeat("x", 33), `a"\`}, 0,
			map[string]string{"on1": "Online", "a/b": "660000002", strings.Repeat("x", 33): "660000012", `a"\`: "660000002"}},
		{"bad id code", Unsettled{BadIDCode: 2}, []string{"on1", "a/b"}, 2, map[string]string{}},
		{"long ids", Unsettled{LongestID: 64}, []string{strings.Repeat("x", 64)}, codeNoSession, map[string]string{strings.Repeat("x", 64): "660200001"}},
	} {
		s := start(t, func(c *Config) { c.Unsettled = test.set })
		mustSet(t, s, town)
		r := ask(t, browser(t), s.URL(), valid(test.ids...).String())
		if diff := cmp.Diff(r.said(), test.said); diff != "" || r.Code != test.code {
			t.Errorf("%s: got %q: %s", test.name, r.text, diff)
		}
	}
	s := start(t, func(c *Config) { c.Unsettled = Unsettled{ForgetNonces: true, LongestLine: 300} })
	p, client := valid("a"), browser(t)
	for range 2 {
		if r := ask(t, client, s.URL(), p.String()); r.Code != codeNoSession {
			t.Errorf("forgotten nonce: got %q", r.text)
		}
	}
	if r := ask(t, client, s.URL(), valid(many(20)...).String()); r.status != 414 || s.App(0).Stats().RepeatedNonces != 1 {
		t.Errorf("line over 300: got %d; books %+v", r.status, s.App(0).Stats())
	}
}

func TestEmptyLists(t *testing.T) {
	for form, want := range map[string]string{"null": `"ErrorList":null`, "[]": `"ErrorList":[]`, "absent": `"}]}`} {
		s := start(t, func(c *Config) { c.Unsettled.EmptyList = form })
		mustSet(t, s, town)
		if r := ask(t, browser(t), s.URL(), valid("on1").String()); !strings.HasSuffix(r.text, want) && !strings.HasSuffix(r.text, want+"}") {
			t.Errorf("%s: got %q", form, r.text)
		}
	}
	s := start(t, func(c *Config) { c.Faults = []Fault{{Kind: Empty}} })
	client, seen := browser(t), map[string]bool{}
	for range 9 {
		_, lists, _ := strings.Cut(ask(t, client, s.URL(), valid("on1").String()).text, `"RequestId":`)
		_, lists, _ = strings.Cut(lists, `,`)
		seen[lists] = true
	}
	if len(seen) < 8 { // with both absent there is no comma, which makes the ninth the empty string
		t.Errorf("rotated through %v", seen)
	}
}

func TestBrokenConfig(t *testing.T) {
	for _, bad := range []Config{
		{Apps: []AppConfig{{Secret: "s"}}},
		{Apps: []AppConfig{{ID: 1}}},
		{Apps: []AppConfig{{ID: 1, Secret: "s"}, {ID: 1, Secret: "s"}}},
		{Apps: []AppConfig{{ID: 1, Secret: "s", Living: &Living{}}}},
		{Faults: []Fault{{Kind: "flood"}}},
		{Unsettled: Unsettled{RateCode: 8}},
		{Unsettled: Unsettled{StatusCase: "camel"}},
		{Unsettled: Unsettled{EmptyList: "{}"}},
	} {
		s := New(bad)
		if err := s.Start(t.Context(), "127.0.0.1:0", ""); err == nil {
			s.Close()
			t.Errorf("%+v: started", bad)
		}
	}
}

func TestSkew(t *testing.T) {
	s := start(t, func(c *Config) { c.Skew = 11 * time.Minute })
	client := browser(t)
	r := ask(t, client, s.URL(), valid("a").String())
	date, err := http.ParseTime(r.header.Get("Date"))
	if off := time.Until(date); err != nil || r.Code != codeExpired || off < 10*time.Minute || off > 12*time.Minute {
		t.Errorf("got %q dated %v ahead", r.text, off)
	}
	s.SetSkew(-9 * time.Minute)
	if r := ask(t, client, s.URL(), valid("a").String()); r.Code != codeNoSession {
		t.Errorf("9 minutes behind: got %q", r.text)
	}
}

func TestTLS(t *testing.T) {
	for _, test := range []struct{ http1, http2 bool }{{http2: true}, {http1: true}} {
		s := start(t, func(c *Config) { c.TLS, c.HTTP1 = true, test.http1 })
		mustSet(t, s, town)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.CertPool()}, ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		client := &http.Client{Transport: transport}
		response, err := client.Get(s.URL() + "/?" + valid(townIDs...).String())
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != 200 || (response.ProtoMajor == 2) != test.http2 {
			t.Errorf("http1 %v: got %d by %s", test.http1, response.StatusCode, response.Proto)
		}
		for _, kind := range []Kind{CutHeaders, CutBody} {
			if err := s.AddFaults(Fault{Kind: kind, Count: 1}); err != nil {
				t.Fatal(err)
			}
			if r, err := tryAsk(client, s.URL(), valid(townIDs...).String()); err == nil {
				t.Errorf("%s over %s: got %q, want an error", kind, response.Proto, r.text)
			}
		}
		// A body whose length is unknown is a body, although it turns out to be empty.
		request, err := http.NewRequest(http.MethodGet, s.URL()+"/?"+valid("a").String(), io.MultiReader())
		if err != nil {
			t.Fatal(err)
		}
		if response, err = client.Do(request); err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if want := map[bool]int{true: 400, false: 200}[test.http2]; response.StatusCode != want {
			t.Errorf("empty body of unknown length over %s: got %d, want %d", response.Proto, response.StatusCode, want)
		}
	}
}

// Every answer agrees with the history at some instant between asking and hearing, whoever changes what meanwhile.
func TestAnswersAgreeWithTruth(t *testing.T) {
	for name, living := range map[string]*Living{"scripted": nil, "living": {Users: 20, Speed: 20000, Session: time.Minute, Away: time.Minute, Hour: 16}} {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(c *Config) { c.Apps[0].Living = living })
			users := []string{UserName(1), UserName(2), UserName(3)}
			_, first := s.App(0).Truth()
			if living == nil {
				first = map[string]State{}
			} else {
				// The history since the start leads back to the states at the start.
				changes, _ := s.App(0).Changes(0)
				for i := len(changes) - 1; i >= 0; i-- {
					first[changes[i].User] = changes[i].From
				}
			}
			type heard struct {
				from, to time.Time
				said     map[string]string
			}
			var mu sync.Mutex
			var all []heard
			var wait sync.WaitGroup
			for range 4 {
				wait.Go(func() {
					client := browser(t)
					for range 100 {
						from := s.clock.at(s.clock.elapsed())
						r, err := tryAsk(client, s.URL(), valid(users...).String())
						if err != nil {
							t.Error(err)
							return
						}
						decode(t, &r)
						mu.Lock()
						all = append(all, heard{from, s.clock.at(s.clock.elapsed()), r.said()})
						mu.Unlock()
					}
				})
			}
			if living == nil {
				wait.Go(func() {
					d := dice{}
					for range 300 {
						s.App(0).SetAll(map[string]State{users[d.below(3)]: State(d.below(3)), users[d.below(3)]: State(d.below(3))})
					}
				})
			}
			wait.Wait()
			changes, dropped := s.App(0).Changes(0)
			if dropped > 0 || len(changes) == 0 {
				t.Fatalf("%d changes, %d dropped", len(changes), dropped)
			}
			for _, h := range all {
				if !agrees(first, changes, users, h.from, h.to, h.said) {
					t.Errorf("between %v and %v nobody was %v", h.from, h.to, h.said)
				}
			}
		})
	}
}

// agrees says whether the users were as said, all at once, at some instant of the interval.
func agrees(first map[string]State, changes []Change, users []string, from, to time.Time, said map[string]string) bool {
	word := map[State]string{Online: "Online", Timeout: "Offline", LoggedOut: "660200001"}
	states := map[string]string{}
	for _, u := range users {
		states[u] = word[first[u]]
	}
	for i := 0; ; i++ {
		next := to.Add(time.Hour)
		if i < len(changes) {
			next = changes[i].At
		}
		if next.After(from) && cmp.Equal(states, said) {
			return true
		}
		if next.After(to) {
			return false
		}
		if _, asked := states[changes[i].User]; asked {
			states[changes[i].User] = word[changes[i].To]
		}
	}
}
