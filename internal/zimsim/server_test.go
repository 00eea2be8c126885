package zimsim

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
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
		if response.StatusCode != http.StatusOK || (response.ProtoMajor == 2) != test.http2 {
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

// Close ends connections in every state, and nothing of the server is left behind.
func TestClose(t *testing.T) {
	for _, secure := range []bool{false, true} {
		s := start(t, func(c *Config) { c.TLS, c.Faults = secure, []Fault{{Kind: Hang}} })
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.CertPool()}, ForceAttemptHTTP2: true}
		client := &http.Client{Transport: transport}
		silent, err := net.Dial("tcp", s.URL()[strings.LastIndex(s.URL(), "/")+1:])
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		for range 10 {
			wait.Go(func() {
				if r, err := tryAsk(client, s.URL(), valid("a").String()); err == nil {
					t.Errorf("got %q from a server that hung", r.text)
				}
			})
		}
		await(t, func() bool { return s.App(0).Stats().Faults["hang"] == 10 })
		s.Close()
		s.Close()
		wait.Wait()
		silent.Close()
		transport.CloseIdleConnections()
		if _, err := tryAsk(client, s.URL(), "x=y"); err == nil {
			t.Error("a closed server answered")
		}
		goleak.VerifyNone(t)
	}
}

// A Start that fails leaves nothing behind: the gateway's port is free again.
func TestStartFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := New(Config{}).Start(t.Context(), taken.Addr().String(), ""); err == nil {
		t.Error("gateway on a port that is taken: started")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	if err := New(Config{}).Start(t.Context(), addr, taken.Addr().String()); err == nil {
		t.Error("control on a port that is taken: started")
	}
	again, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("the gateway's port after a failed start: %v", err)
	}
	again.Close()
	goleak.VerifyNone(t)
}

// Close returns no sooner than the last request is out of the gateway.
func TestCloseWaits(t *testing.T) {
	s := start(t, nil)
	client := browser(t)
	people := s.App(0).population.(*scripted)
	people.mu.Lock()
	asked, closed := make(chan error), make(chan bool)
	go func() {
		_, err := tryAsk(client, s.URL(), valid("a").String())
		asked <- err
	}()
	await(t, func() bool { return len(s.arrived()) == 1 })
	go func() {
		s.Close()
		close(closed)
	}()
	if err := <-asked; err == nil {
		t.Error("got an answer, want the connection's end")
	}
	select {
	case <-closed:
		t.Error("closed with a request inside")
	default:
	}
	people.mu.Unlock()
	<-closed
	if s.inside.n != 0 {
		t.Errorf("%d still inside", s.inside.n)
	}
}

// arrived is the only app's arrivals so far.
func (s *Server) arrived() []time.Duration {
	log, _ := s.App(0).Arrivals(0)
	return log
}

// A living population goes on while nobody looks.
func TestServerAdvances(t *testing.T) {
	s := start(t, func(c *Config) { c.Apps[0].Living = &Living{Users: 10, Speed: 1000} })
	people := s.App(0).population.(*living)
	await(t, func() bool {
		people.mu.Lock()
		defer people.mu.Unlock()
		return people.seen > 0
	})
}
