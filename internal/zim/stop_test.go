package zim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// A wrong secret stops the app: nothing more is sent but a batch now and then,
// until it is answered.
func TestWrongSecret(t *testing.T) {
	users := numbered(10_000)
	s := simulator(t, zimsim.Config{}, users)
	r := newRig(t, s.URL(), func(c *Config) { c.Secret = "not-the-secret" })
	r.probeEvery = time.Hour
	stopped := func(out outcome, most int) {
		t.Helper()
		var e *Error
		if !errors.As(out.err, &e) || e.Class != Stop || e.Code != 100000005 || len(out.observed) > 0 || out.asked.Requests > most {
			t.Errorf("error %v after %d requests, want class stop after %d at most; %d observed", out.err, out.asked.Requests, most, len(out.observed))
		}
	}
	asked := []Asked{}
	first := r.ask(t.Context(), users)
	stopped(first, 2*r.course().inFlight)
	asked = append(asked, first.asked)
	for range 3 {
		stopped(r.ask(t.Context(), users), 0)
	}
	r.probeEvery = 0
	probe := r.ask(t.Context(), users)
	stopped(probe, 1)
	asked = append(asked, probe.asked)
	r.checkBooks(s, asked...)
	if n := r.logged(`"level":"warn"`, "check the server secret"); n != 2 {
		t.Errorf("%d warnings, want one in each of the 2 calls that asked", n)
	}
	r.probeEvery = time.Hour // nobody waits for it
	mended := r.course().Settings
	mended.Secret = testSecret
	if err := r.Set(mended); err != nil {
		t.Fatal(err)
	}
	out := r.ask(t.Context(), users)
	if out.err != nil || len(out.observed) != len(users) || r.stoppedBy() != nil {
		t.Errorf("mended: %d observed, %v", len(out.observed), out.err)
	}
	out.checkTrue(t, s)
}

// A probe that meets bad weather proves nothing: nobody else is asked.
func TestProbeInBadWeather(t *testing.T) {
	users := numbered(1000)
	s := simulator(t, zimsim.Config{Faults: []zimsim.Fault{{Kind: zimsim.HTTPError}}}, users)
	r := newRig(t, s.URL())
	r.setStopped(&Error{Class: Stop, Code: 3})
	r.probeEvery = 0
	out := r.ask(t.Context(), users)
	if !errors.Is(out.err, r.stoppedBy()) || out.asked.Requests != r.sweep.weather || len(out.missed) != 100 {
		t.Errorf("%d requests, %d missed, %v", out.asked.Requests, len(out.missed), out.err)
	}
	s.ClearFaults()
	if out := r.ask(t.Context(), users); out.err != nil || len(out.observed) != 1000 || out.asked.Requests != 10 {
		t.Errorf("%d requests, %d observed, %v", out.asked.Requests, len(out.observed), out.err)
	}
}

// The first failures for the rate, in each form: everybody waits, as long as
// the server asked for, and then everybody is answered.
func TestRateLimitAnswered(t *testing.T) {
	for _, c := range []struct {
		fault string
		least time.Duration
	}{{"code:7x3", time.Second}, {"code:660300005x3", time.Second}, {"http:429x3", time.Second}, {"retry-after", 2 * time.Second}} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			faults := []zimsim.Fault{{Kind: zimsim.HTTPError, Status: 429, RetryAfter: 2, Count: 3}}
			if c.fault != "retry-after" {
				var err error
				if faults, err = zimsim.ParseFaults(c.fault); err != nil {
					t.Fatal(err)
				}
			}
			users := numbered(1000)
			s := simulator(t, zimsim.Config{Faults: faults}, users)
			r := newRig(t, s.URL())
			start := time.Now()
			out := r.ask(t.Context(), users)
			if out.err != nil || len(out.observed) != 1000 || out.asked.Requests != 13 {
				t.Errorf("%d observed in %d requests, %v", len(out.observed), out.asked.Requests, out.err)
			}
			_, _, pauses := r.slots.books()
			if len(pauses) != 3 || pauses[0].Sub(start) < c.least {
				t.Errorf("paused until %v, want 3 pauses of %s at least from %s", pauses, c.least, start)
			}
			if r.slots.good != 10 {
				t.Errorf("the budget heard of %d good answers, want 10", r.slots.good)
			}
			out.checkTrue(t, s)
			r.checkBooks(s, out.asked)
		})
	}
}

// A server that asks to be left alone for another reason than the rate: everybody
// waits as long, not the one batch alone, and the rate stays.
func TestRetryAfterOfAnOutage(t *testing.T) {
	t.Parallel()
	users := numbered(1000)
	s := simulator(t, zimsim.Config{Faults: []zimsim.Fault{{Kind: zimsim.HTTPError, Status: 503, RetryAfter: 2, Count: 1}}}, users)
	r := newRig(t, s.URL())
	r.slots.gap = 20 * time.Millisecond
	start := time.Now()
	out := r.ask(t.Context(), users)
	if took := time.Since(start); len(out.observed) != 1000 || out.asked.Requests != 11 || took < 2*time.Second {
		t.Errorf("%d observed in %d requests and %s, %v", len(out.observed), out.asked.Requests, took, out.err)
	}
	if _, _, refused := r.slots.books(); len(refused) != 0 || len(r.slots.asked) != 1 || r.slots.asked[0].Before(start.Add(2*time.Second)) {
		t.Errorf("paused for the rate until %v, and otherwise until %v; want the one alone, 2 s from %s", refused, r.slots.asked, start)
	}
	r.checkBooks(s, out.asked)
}

// The rate answered user by user slows down everybody, too.
func TestRateLimitAnsweredInTheList(t *testing.T) {
	s := startRaw(t, nil)
	first := true
	s.reply = func(ids []string) string {
		if first {
			first = false
			return body("7", fmt.Sprintf(`,"ErrorList":[{"UserId":%q,"SubCode":7}]`, ids[0]))
		}
		return everybodyOnline(ids)
	}
	r := newRig(t, s.url())
	out := r.ask(t.Context(), numbered(1))
	if _, _, pauses := r.slots.books(); len(pauses) != 1 || len(out.observed) != 1 {
		t.Errorf("%d pauses, want 1; observed %v", len(pauses), out.observed)
	}
}

// Weather says nothing about the rate, neither good nor bad.
func TestWeatherLeavesTheRateAlone(t *testing.T) {
	t.Parallel()
	faults, err := zimsim.ParseFaults("http:503x2,code:1x1,truncatedx1,code:2x1")
	if err != nil {
		t.Fatal(err)
	}
	users := numbered(1000)
	s := simulator(t, zimsim.Config{Faults: faults}, users)
	r := newRig(t, s.URL())
	out := r.ask(t.Context(), users)
	if _, _, pauses := r.slots.books(); len(pauses) != 0 || r.slots.good != out.asked.Requests-5 {
		t.Errorf("%d pauses, %d good answers of %d requests, want none, and all but 5", len(pauses), r.slots.good, out.asked.Requests)
	}
	r.checkBooks(s, out.asked)
}

// A server that says for ever that it is too much is given up in the end.
func TestRateLimitForEver(t *testing.T) {
	r := newRig(t, "http://127.0.0.1:1")
	answers := make(chan presence.Answer, 1)
	a := r.asking(&r.sweep, answers, nil)
	none := func(context.Context, []presence.User) error { return nil }
	for n := 1; n <= r.sweep.slow; n++ {
		done, err := a.giveUp(t.Context(), numbered(2), &Error{Class: Slow}, n, none)
		if err != nil || done != (n == r.sweep.slow) {
			t.Errorf("failure %d: given up %v, %v", n, done, err)
		}
	}
	if answer := <-answers; len(answer.Missed) != 2 || answer.Missed[0].Reason != presence.MissFailed {
		t.Errorf("answer %v", answer)
	}
}

// A call that is cancelled in the middle returns with the cause, keeps no slot
// and leaves no goroutine.
func TestCancel(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	users := numbered(5000)
	for _, fault := range []string{"hang", "slow:1h", "slow_answer:1h", "http:503", "code:7", "code:2", "http:503@0.5", ""} {
		t.Run(fault, func(t *testing.T) {
			faults, err := zimsim.ParseFaults(fault)
			if fault != "" && err != nil {
				t.Fatal(err)
			}
			s := simulator(t, zimsim.Config{Faults: faults}, users)
			r := newRig(t, s.URL(), timeout(time.Hour))
			ctx, cancel := context.WithCancelCause(t.Context())
			enough := errors.New("enough")
			answers := make(chan presence.Answer) // nobody reads it
			finished := make(chan error)
			go func() {
				_, err := r.Ask(ctx, slices.Values(users), answers)
				finished <- err
			}()
			for s.App(0).Stats().Arrivals < 3 {
				time.Sleep(time.Millisecond)
			}
			cancel(enough)
			if err := <-finished; !errors.Is(err, enough) {
				t.Errorf("got %v, want the cause", err)
			}
			if _, held, _ := r.slots.books(); held != 0 {
				t.Errorf("%d slots are still held", held)
			}
			if n := len(r.sweep.seats); n != 0 {
				t.Errorf("%d places in front of the budget are still held", n)
			}
			r.Close()
			s.Close()
			goleak.VerifyNone(t, leaks, goleak.IgnoreTopFunction("testing.(*T).Run"))
		})
	}
}

// A budget that refuses, as it does when the lease is lost, ends the call with
// its own error.
func TestBudgetRefuses(t *testing.T) {
	users := numbered(3000)
	s := simulator(t, zimsim.Config{}, users)
	r := newRig(t, s.URL())
	lost := errors.New("lease lost")
	r.slots.most, r.slots.err = 7, lost
	out := r.ask(t.Context(), users)
	if !errors.Is(out.err, lost) || out.asked.Requests != 7 || len(out.observed) > 700 {
		t.Errorf("%d requests, %d observed, %v", out.asked.Requests, len(out.observed), out.err)
	}
	r.checkBooks(s, out.asked)
	for _, c := range r.course().conns.open {
		if c.InFlight() != 0 {
			t.Errorf("a connection is still reserved %d times", c.InFlight())
		}
	}
	out.checkTrue(t, s)
}
