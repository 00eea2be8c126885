package zim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

const (
	testApp    = 12345
	testSecret = "9193cc662a4c0ec135ec71fb57194b38"
)

// rig is a client with books around it.
type rig struct {
	*Client
	t     testing.TB
	slots *slots
	log   *logbook
	cut   bool // a call has ended with an error, perhaps before what it sent had left
}

// newRig makes a client of the server at url. Whatever it logs is searched for
// secrets when the test ends.
func newRig(t testing.TB, url string, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, slots: &slots{}, log: &logbook{}}
	cfg := Config{
		BaseURL: url, AppID: testApp, Secret: testSecret, Rate: 20, BatchSize: 100,
		Timeout: 10 * time.Second, Budget: r.slots, Log: zerolog.New(r.log).Level(zerolog.DebugLevel),
	}
	for _, c := range change {
		c(&cfg)
	}
	client, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	client.outlast = 2 * time.Second // as long as matters to nobody but those who test it
	r.Client = client
	t.Cleanup(func() {
		client.Close()
		r.checkSilent("the log", r.log.String())
	})
	return r
}

// checkSilent tells when a text holds what no text may.
func (r *rig) checkSilent(what, text string) {
	r.t.Helper()
	for _, banned := range []string{r.course().Secret, "signature=", "signature%3d", "userid%5b", "?action", r.course().BaseURL} {
		if i := indexFold(text, banned); i >= 0 {
			r.t.Errorf("%s holds %q: %s", what, banned, text[max(0, i-200):min(len(text), i+200)])
		}
	}
}

// outcome is what one Ask brought about each user.
type outcome struct {
	observed map[string]presence.Observation
	missed   map[string]presence.MissReason
	asked    Asked
	err      error
}

// ask asks about users and checks that each is in one answer, or, with an
// error, in one at most.
func (r *rig) ask(ctx context.Context, users []presence.User) outcome {
	r.t.Helper()
	return r.collected(users, func(answers chan<- presence.Answer) (Asked, error) { return r.Ask(ctx, slices.Values(users), answers) })
}

// collected is what a call of either kind brought.
func (r *rig) collected(users []presence.User, call func(chan<- presence.Answer) (Asked, error)) outcome {
	r.t.Helper()
	answers := make(chan presence.Answer)
	out := outcome{observed: map[string]presence.Observation{}, missed: map[string]presence.MissReason{}}
	collected := make(chan struct{})
	go func() {
		defer close(collected)
		for a := range answers {
			out.collect(r.t, a)
		}
	}()
	out.asked, out.err = call(answers)
	close(answers)
	<-collected
	if out.err != nil {
		r.cut = true
		r.checkSilent("the error", fmt.Sprintf("%v %+v %#v", out.err, out.err, out.err))
		var e *Error
		if errors.As(out.err, &e) && e.Err != nil {
			r.checkSilent("its cause", fmt.Sprintf("%+v", e.Err))
		}
		return out
	}
	for _, u := range users {
		_, observed := out.observed[u.ID]
		_, missed := out.missed[u.ID]
		if !observed && !missed {
			r.t.Errorf("user %q is in no answer", u.ID)
		}
	}
	return out
}

func (out *outcome) collect(t testing.TB, a presence.Answer) {
	if a.At.Before(a.AskedAt) || a.At.IsZero() || a.At.Location() != time.UTC {
		t.Errorf("answer asked at %s, read at %s", a.AskedAt, a.At)
	}
	once := func(id string) {
		_, observed := out.observed[id]
		_, missed := out.missed[id]
		if observed || missed {
			t.Errorf("user %q is in two answers", id)
		}
	}
	for _, o := range a.Observations {
		once(o.User.ID)
		out.observed[o.User.ID] = o
	}
	for _, m := range a.Missed {
		once(m.User.ID)
		out.missed[m.User.ID] = m.Reason
	}
}

// counts returns how often each reason was given.
func (out *outcome) counts() map[presence.MissReason]int {
	counts := map[presence.MissReason]int{}
	for _, reason := range out.missed {
		counts[reason]++
	}
	return counts
}

// numbered returns n users u1, u2, …
func numbered(n int) []presence.User {
	users := make([]presence.User, n)
	for i := range users {
		users[i] = presence.User{No: uint32(i + 1), ID: fmt.Sprintf("u%d", i+1)}
	}
	return users
}

// statesOf gives the users states in turn.
func statesOf(users []presence.User) map[string]zimsim.State {
	states := map[string]zimsim.State{}
	for i, u := range users {
		states[u.ID] = zimsim.State(i % 3)
	}
	return states
}

// simulator starts a simulated ZIM that knows the users; what c leaves out is
// filled in, without a rate limit.
func simulator(t testing.TB, c zimsim.Config, users []presence.User) *zimsim.Server {
	t.Helper()
	if c.Apps == nil {
		c.Apps = []zimsim.AppConfig{{ID: testApp, Secret: testSecret, Rate: -1}}
	}
	s := zimsim.New(c)
	if err := s.Start(t.Context(), "127.0.0.1:0", ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if _, err := s.App(0).SetAll(statesOf(users)); err != nil {
		t.Fatal(err)
	}
	return s
}

// secure lets a client trust the simulator's certificate.
func secure(s *zimsim.Server) func(*Config) {
	return func(c *Config) { c.TLS = &tls.Config{RootCAs: s.CertPool()} }
}

func timeout(d time.Duration) func(*Config) { return func(c *Config) { c.Timeout = d } }

// checkTrue holds what was observed against the simulator's truth.
func (out *outcome) checkTrue(t testing.TB, s *zimsim.Server) {
	t.Helper()
	_, truth := s.App(0).Truth()
	for id, o := range out.observed {
		want := truth[id]
		if got := o.Status.String() + o.Detail.String(); got != want.Status()+want.Detail() {
			t.Errorf("user %q was observed %s %s, the truth is %s", id, o.Status, o.Detail, want)
		}
	}
}

// checkBooks holds the client's count of requests against the budget's and the
// server's.
func (r *rig) checkBooks(s *zimsim.Server, asked ...Asked) {
	r.t.Helper()
	requests := 0
	for _, a := range asked {
		requests += a.Requests
	}
	taken, held, _ := r.slots.books()
	if r.slots.wrong != nil {
		r.t.Error(r.slots.wrong)
	}
	stats := s.App(0).Stats()
	if requests != taken || held != 0 {
		r.t.Errorf("%d requests counted with %d slots taken, %d of them still held", requests, taken, held)
	}
	if got := stats.Arrivals + stats.Unread; got != uint64(taken) && !r.cut || got > uint64(taken) {
		r.t.Errorf("%d requests at the server with %d slots taken", got, taken)
	}
	if stats.RepeatedNonces != 0 {
		r.t.Errorf("%d nonces came twice", stats.RepeatedNonces)
	}
}

// logged counts the log lines that hold all the words.
func (r *rig) logged(words ...string) (lines int) {
	for line := range strings.Lines(r.log.String()) {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			lines++
		}
	}
	return lines
}
