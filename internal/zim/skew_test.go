package zim

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/zim-presence/poller/internal/zimsim"
)

// hearAt lets the skew hear a reply of a server whose clock is behind ours by so
// much, to a request that took as long as it says, half of it there.
func hearAt(s *skew, at time.Time, ahead, took time.Duration) {
	date := at.Round(0).Add(took/2 - ahead).UTC()
	s.hear(http.Header{"Date": {date.Format(http.TimeFormat)}}, at, at.Add(took))
}

func TestSkew(t *testing.T) {
	type step struct {
		after, ahead, took time.Duration
		n                  int
		warnings           int           // so far
		off                time.Duration // at most
	}
	const ms = time.Millisecond
	for name, steps := range map[string][]step{
		"none":                  {{took: 100 * ms, n: 100, off: 60 * ms}},
		"one reply":             {{took: 100 * ms, ahead: 94 * time.Second, n: 1, warnings: 1, off: 560 * ms}},
		"many":                  {{took: 100 * ms, ahead: 94 * time.Second, n: 100, warnings: 1, off: 60 * ms}},
		"behind":                {{took: 100 * ms, ahead: -94 * time.Second, n: 100, warnings: 1, off: 60 * ms}},
		"not for sure":          {{took: time.Second, ahead: 30*time.Second + 400*ms, n: 1, off: time.Second}},
		"just over, and known":  {{took: 20 * ms, ahead: 30*time.Second + 400*ms, n: 100, warnings: 1, off: 20 * ms}},
		"just under, and known": {{took: 20 * ms, ahead: 30*time.Second - 400*ms, n: 100, off: 20 * ms}},
		"a day":                 {{took: 20 * ms, ahead: 24 * time.Hour, n: 1, warnings: 1, off: time.Second}},
		"set right, and wrong again": {
			{took: 20 * ms, ahead: time.Hour, n: 100, warnings: 1, off: 20 * ms},
			{took: 20 * ms, n: 1, warnings: 1, off: 600 * ms}, // known at once
			{took: 20 * ms, n: 100, warnings: 1, off: 20 * ms},
			{took: 20 * ms, ahead: -time.Hour, n: 2, warnings: 1, off: 600 * ms}, // so soon it is the same trouble
			{took: 20 * ms, n: 2, warnings: 1, off: 600 * ms},
			{after: skewWindow, took: 20 * ms, n: 1, warnings: 1, off: 600 * ms},
			{took: 20 * ms, ahead: -time.Hour, n: 2, warnings: 2, off: 600 * ms},
		},
		"wrong otherwise": {
			{took: 20 * ms, ahead: time.Hour, n: 10, warnings: 1, off: 200 * ms}, {took: 20 * ms, ahead: -time.Hour, n: 10, warnings: 1, off: 200 * ms},
		},
		"a slow one after quick ones changes nothing": {
			{took: 20 * ms, ahead: time.Second, n: 100, off: 20 * ms}, {took: 9 * time.Second, ahead: time.Second, n: 1, off: 20 * ms},
		},
		"quick ones of long ago are forgotten": {
			{took: 20 * ms, ahead: time.Second, n: 100, off: 20 * ms}, {after: time.Hour, took: 9 * time.Second, ahead: 3 * time.Second, n: 1, off: 5 * time.Second},
		},
	} {
		t.Run(name, func(t *testing.T) {
			warnings := 0
			s := &skew{warn: func(time.Duration) { warnings++ }}
			now := time.Now()
			if _, known := s.ahead(); known {
				t.Fatal("known before anything was heard")
			}
			for i, c := range steps {
				now = now.Add(c.after)
				for range c.n {
					hearAt(s, now, c.ahead, c.took)
					now = now.Add(137 * ms)
				}
				ahead, known := s.ahead()
				if off := (ahead - c.ahead).Abs(); !known || off > c.off {
					t.Errorf("step %d: %s (known %v), want %s, off by %s at most", i, ahead, known, c.ahead, c.off)
				}
				if warnings != c.warnings {
					t.Errorf("step %d: %d warnings, want %d", i, warnings, c.warnings)
				}
			}
		})
	}
}

// One of two gateways whose clock is wrong is one warning, and not one with each of
// its replies.
func TestSkewOfOneGateway(t *testing.T) {
	warnings := 0
	s := &skew{warn: func(time.Duration) { warnings++ }}
	now := time.Now()
	for i := range 20_000 {
		hearAt(s, now, time.Duration(i%2)*time.Minute, 20*time.Millisecond)
		now = now.Add(50 * time.Millisecond)
	}
	if warnings != 1 {
		t.Errorf("%d warnings, want 1", warnings)
	}
}

// What says nothing about the clocks.
func TestSkewHearsNoNonsense(t *testing.T) {
	s := &skew{warn: func(time.Duration) { t.Error("a warning") }}
	now := time.Now()
	yesterday := now.Add(-24 * time.Hour).UTC().Format(http.TimeFormat)
	for name, header := range map[string]http.Header{
		"no date": {}, "no time": {"Date": {"soon"}}, "of a cache": {"Date": {yesterday}, "Age": {"86400"}},
	} {
		s.hear(header, now, now.Add(time.Millisecond))
		if _, known := s.ahead(); known {
			t.Errorf("%s: something is known", name)
		}
	}
}

// The truth is always within what is held to be possible, as long as nobody sets a
// clock.
func TestSkewHoldsTheTruth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &skew{warn: func(time.Duration) {}}
		truth := time.Duration(rapid.Int64Range(-int64(time.Hour), int64(time.Hour)).Draw(t, "truth"))
		now := time.Now()
		for range rapid.IntRange(1, 40).Draw(t, "replies") {
			there := time.Duration(rapid.Int64Range(0, int64(5*time.Second)).Draw(t, "there"))
			back := time.Duration(rapid.Int64Range(0, int64(5*time.Second)).Draw(t, "back"))
			date := now.Round(0).Add(there - truth).UTC().Format(http.TimeFormat)
			s.hear(http.Header{"Date": {date}}, now, now.Add(there+back))
			if s.sum.least > truth || s.sum.most < truth {
				t.Fatalf("%v, and the truth is %s", s.sum, truth)
			}
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(5*time.Minute)).Draw(t, "until the next")))
		}
	})
}

// A simulated ZIM whose clock goes wrong: warned of once, while everything works;
// and named for what it is when ZIM refuses the signatures.
func TestSkewedServer(t *testing.T) {
	t.Parallel()
	users := numbered(500)
	s := simulator(t, zimsim.Config{}, users)
	r := newRig(t, s.URL())
	near := func(want time.Duration) {
		t.Helper()
		if ahead, known := r.Skew(); !known || (ahead-want).Abs() > 2*time.Second {
			t.Errorf("the skew is %s (known %v), want %s", ahead, known, want)
		}
	}
	if out := r.ask(t.Context(), users); len(out.observed) != 500 {
		t.Errorf("%d observed", len(out.observed))
	}
	near(0)
	s.SetSkew(-94 * time.Second) // ours is ahead
	for range 3 {
		if out := r.ask(t.Context(), users); len(out.observed) != 500 {
			t.Errorf("%d observed, with clocks that differ by less than ZIM bears", len(out.observed))
		}
	}
	near(94 * time.Second)
	if n := r.logged(`"level":"warn"`, `"seconds_ahead":9`, "set this machine's clock"); n != 1 {
		t.Errorf("%d warnings, want 1, in %s", n, r.log)
	}
	s.SetSkew(11 * time.Minute)
	out := r.ask(t.Context(), users)
	near(-11 * time.Minute)
	var e *Error
	if !errors.As(out.asked.Failure, &e) || e.Class != Expired || len(out.missed) != 500 ||
		!strings.Contains(e.Error(), " s behind ZIM's; set this machine's clock") {
		t.Errorf("%d missed, for %v", len(out.missed), out.asked.Failure)
	}
	s.SetSkew(0)
	if out := r.ask(t.Context(), users); len(out.observed) != 500 {
		t.Errorf("clock set right: %d observed", len(out.observed))
	}
	near(0)
}

// A signature that is refused while the clocks agree has another cause.
func TestRefusedThoughTheClocksAgree(t *testing.T) {
	t.Parallel()
	faults, err := zimsim.ParseFaults("code:100000004")
	if err != nil {
		t.Fatal(err)
	}
	users := numbered(10)
	s := simulator(t, zimsim.Config{Faults: faults}, users)
	out := newRig(t, s.URL()).ask(t.Context(), users)
	if out.asked.Failure == nil || !strings.Contains(out.asked.Failure.Error(), "our clock agrees with ZIM's") {
		t.Errorf("the failure is %v", out.asked.Failure)
	}
}

// Answers are stamped with the clock that was given, requests are signed with the
// machine's own: ZIM takes them also when the other is an hour ahead.
func TestStampedAndSigned(t *testing.T) {
	t.Parallel()
	users := numbered(10)
	s := simulator(t, zimsim.Config{}, users)
	var stamped []time.Time
	ahead := time.Now().Add(time.Hour).UTC()
	r := newRig(t, s.URL(), func(c *Config) {
		c.Now = func() time.Time { ahead = ahead.Add(time.Second); return ahead }
		c.Attempted = func(a Attempt) { stamped = append(stamped, a.AskedAt, a.At) }
	})
	if out := r.ask(t.Context(), users); len(out.observed) != 10 {
		t.Errorf("%d observed, %v", len(out.observed), out.asked.Failure)
	}
	if len(stamped) != 2 || time.Until(stamped[0]) < 59*time.Minute || stamped[1].Sub(stamped[0]) != time.Second {
		t.Errorf("stamped %v", stamped)
	}
	near, _ := r.Skew()
	if near.Abs() > 2*time.Second {
		t.Errorf("the skew is %s, and is that of the machine's clock", near)
	}
}
