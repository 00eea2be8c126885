package zim

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// confirm asks again about users, as ask asks.
func (r *rig) confirm(ctx context.Context, users []presence.User) outcome {
	r.t.Helper()
	return r.collected(users, func(answers chan<- presence.Answer) (Asked, error) { return r.Confirm(ctx, users, answers) })
}

// Confirm beside an Ask that never has enough slots: its requests come next, and
// everybody is in one answer of each.
func TestConfirmGoesAhead(t *testing.T) {
	t.Parallel()
	users := numbered(300)
	s := simulator(t, zimsim.Config{}, users)
	var mu sync.Mutex
	var lanes []Lane
	sent := make(chan struct{}, 1000)
	r := newRig(t, s.URL(), func(c *Config) {
		c.BatchSize = 1
		c.Attempted = func(a Attempt) {
			mu.Lock()
			lanes = append(lanes, a.Lane)
			mu.Unlock()
			sent <- struct{}{}
		}
	})
	r.slots.gap = 10 * time.Millisecond
	finished := make(chan outcome)
	go func() { finished <- r.ask(t.Context(), users) }()
	for range 10 {
		<-sent
	}
	var confirmed outcome
	mu.Lock()
	from := len(lanes)
	mu.Unlock()
	confirmed = r.confirm(t.Context(), users[:5])
	swept := <-finished
	if len(confirmed.observed) != 5 || confirmed.err != nil || len(swept.observed) != 300 || swept.err != nil {
		t.Errorf("%d confirmed, %v; %d observed, %v", len(confirmed.observed), confirmed.err, len(swept.observed), swept.err)
	}
	confirmed.checkTrue(t, s)
	last := from
	for i, lane := range lanes {
		if lane == LaneConfirm {
			last = i
		}
	}
	// Five of its own, each with up to two before it and what was in flight.
	if last-from > 30 {
		t.Errorf("the last confirmation came %d requests later, behind a queue of hundreds", last-from)
	}
	r.checkBooks(s, confirmed.asked, swept.asked)
}

// Confirm is over soon under each fault, with two requests a batch at most.
func TestConfirmGivesUpSoon(t *testing.T) {
	for _, c := range []struct {
		fault      string
		retryAfter int
		requests   int
	}{
		{fault: "http:503", requests: 2},
		{fault: "code:1", requests: 2},
		{fault: "code:7", requests: 2},
		{fault: "partial:1", requests: 1},
		{fault: "code:100000004", requests: 2},
		{fault: "code:100000000", requests: 1},
		{fault: "http:503", retryAfter: 100, requests: 1},
		{fault: "http:429", retryAfter: 100, requests: 1},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			faults, err := zimsim.ParseFaults(c.fault)
			if err != nil {
				t.Fatal(err)
			}
			faults[0].RetryAfter = c.retryAfter
			users := numbered(100)
			s := simulator(t, zimsim.Config{Faults: faults}, users)
			r := newRig(t, s.URL())
			out := r.confirm(t.Context(), users)
			if out.err != nil || len(out.missed) != 100 || out.asked.Requests != c.requests {
				t.Errorf("%d requests, %d missed, %v; want %d, 100 and no error", out.asked.Requests, len(out.missed), out.err, c.requests)
			}
			if c.retryAfter == 0 {
				return
			}
			s.ClearFaults() // the pause that was asked for holds all the same
			r.course().patience = 100 * time.Millisecond
			out = r.confirm(t.Context(), users)
			if out.err != nil || len(out.missed) != 100 || out.asked.Requests != 0 {
				t.Errorf("in the pause: %d requests, %d missed, %v; want 0, 100 and no error", out.asked.Requests, len(out.missed), out.err)
			}
		})
	}
}

// One of the two requests fails, and the other brings the answer.
func TestConfirmTriesTwice(t *testing.T) {
	t.Parallel()
	faults, err := zimsim.ParseFaults("http:503x1")
	if err != nil {
		t.Fatal(err)
	}
	users := numbered(150)
	s := simulator(t, zimsim.Config{Faults: faults}, users)
	r := newRig(t, s.URL())
	out := r.confirm(t.Context(), users)
	if out.err != nil || len(out.observed) != 150 || out.asked.Requests != 3 {
		t.Errorf("%d observed in %d requests, %v", len(out.observed), out.asked.Requests, out.err)
	}
	out.checkTrue(t, s)
	r.checkBooks(s, out.asked)
}

// A bad id is found and the others are answered; from then on it is asked alone.
func TestConfirmWithABadID(t *testing.T) {
	t.Parallel()
	s := startRaw(t, nil)
	s.reply = func(ids []string) string {
		if slices.Contains(ids, "u3") {
			return body("2", "")
		}
		return everybodyOnline(ids)
	}
	r := newRig(t, s.url())
	for n := range 2 {
		out := r.confirm(t.Context(), numbered(8))
		if out.err != nil || len(out.observed) != 7 || out.missed["u3"] != presence.MissRefused {
			t.Errorf("%d observed, missed %v, %v", len(out.observed), out.missed, out.err)
		}
		if n == 1 && out.asked.Requests != 2 {
			t.Errorf("%d requests, want one for the suspect and one for the others", out.asked.Requests)
		}
	}
}

// An app that is stopped is not asked, and what stops it stops both.
func TestConfirmOfAStoppedApp(t *testing.T) {
	t.Parallel()
	users := numbered(10)
	s := simulator(t, zimsim.Config{}, users)
	r := newRig(t, s.URL(), func(c *Config) { c.Secret = "not-the-secret" })
	for n, most := range []int{1, 0, 0} {
		out := r.confirm(t.Context(), users)
		var e *Error
		if !errors.As(out.err, &e) || e.Class != Stop || out.asked.Requests != most {
			t.Errorf("call %d: %d requests, %v; want %d, class stop", n, out.asked.Requests, out.err, most)
		}
	}
	if out := r.ask(t.Context(), users); out.err == nil || out.asked.Requests != 0 {
		t.Errorf("Ask behind it: %d requests, %v; want none before its minute is over", out.asked.Requests, out.err)
	}
}

// Many calls of both at once, with faults: for the race detector.
func TestConfirmBesideAsk(t *testing.T) {
	t.Parallel()
	faults, err := zimsim.ParseFaults("http:503@0.05,cut_body@0.05,partial:0.1@0.1,code:2@0.02,code:7@0.002")
	if err != nil {
		t.Fatal(err)
	}
	users := numbered(2000)
	s := simulator(t, zimsim.Config{Faults: faults, Seed: 7}, users)
	r := newRig(t, s.URL())
	var calls sync.WaitGroup
	var mu sync.Mutex
	var asked []Asked
	both := func(n int, call func(context.Context, []presence.User) outcome, users []presence.User) {
		calls.Go(func() {
			for range n {
				out := call(t.Context(), users)
				out.checkTrue(t, s)
				if out.err != nil {
					t.Error(out.err)
				}
				mu.Lock()
				asked = append(asked, out.asked)
				mu.Unlock()
			}
		})
	}
	both(3, r.ask, users)
	both(30, r.confirm, users[500:700])
	calls.Wait()
	r.checkBooks(s, asked...)
}

// A suspect whom a confirmation acquits while the sweep is under way: the sweep
// asks about it as it meant to.
func TestConfirmAcquitsBesideAsk(t *testing.T) {
	t.Parallel()
	users := numbered(3)
	s := simulator(t, zimsim.Config{}, users)
	r := newRig(t, s.URL())
	r.refuse(users[0].ID)
	acquit := sync.OnceFunc(func() {
		if out := r.confirm(t.Context(), users[:1]); len(out.observed) != 1 || r.Refuses(users[0].ID) {
			t.Errorf("the suspect is not acquitted: %v", out)
		}
	})
	out := r.collected(users, func(answers chan<- presence.Answer) (Asked, error) {
		return r.Ask(t.Context(), func(yield func(presence.User) bool) {
			acquit() // the sweep has begun
			slices.Values(users)(yield)
		}, answers)
	})
	if len(out.observed) != 3 || out.err != nil {
		t.Errorf("%d observed, %v; want 3", len(out.observed), out.err)
	}
}
