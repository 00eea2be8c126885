package budget

import (
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// strict is a server that takes so many requests in a sliding second, and counts
// the ones that it refuses, as ZIM is taken to do.
type strict struct {
	mu       sync.Mutex
	limit    int
	arrivals []time.Time
	refused  []time.Time
}

func (s *strict) arrive(now time.Time) (accepted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrivals = append(s.arrivals, now)
	in := 0
	for i := len(s.arrivals) - 1; i >= 0 && now.Sub(s.arrivals[i]) < time.Second; i-- {
		in++
	}
	if in > s.limit {
		s.refused = append(s.refused, now)
	}
	return in <= s.limit
}

// between counts times.
func between(times []time.Time, from, to time.Time) (n int) {
	for _, t := range times {
		if !t.Before(from) && t.Before(to) {
			n++
		}
	}
	return n
}

// keepAsking spends every slot of l at the server for so long; a round trip takes
// there and back the same.
func (s *strict) keepAsking(t *testing.T, l *Limiter, trip, lasts time.Duration) {
	t.Helper()
	var flying sync.WaitGroup
	defer flying.Wait()
	for end := time.Now().Add(lasts); time.Now().Before(end); {
		sent, err := l.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		asked := time.Now()
		sent()
		flying.Go(func() {
			time.Sleep(trip / 2)
			accepted := s.arrive(time.Now())
			time.Sleep(trip - trip/2)
			if accepted {
				l.Accepted(asked)
			} else {
				l.Refused(asked, 0)
			}
		})
	}
}

// A server that takes less than the setting is found within seconds and used by
// four fifths at least, with few refusals; when it takes everything again, that
// is found too.
func TestSettlesAtWhatTheServerTakes(t *testing.T) {
	for _, c := range []struct {
		setting, takes int
		trip           time.Duration
	}{
		{20, 10, 0}, {20, 10, 20 * time.Millisecond}, {20, 10, 100 * time.Millisecond}, {20, 10, 500 * time.Millisecond},
		{20, 19, 100 * time.Millisecond}, {20, 15, 100 * time.Millisecond}, {20, 7, 100 * time.Millisecond}, {20, 5, 100 * time.Millisecond},
		{20, 3, 100 * time.Millisecond}, {20, 2, 50 * time.Millisecond}, {100, 50, 100 * time.Millisecond}, {100, 30, 100 * time.Millisecond},
		{200, 100, 50 * time.Millisecond}, {10, 5, 100 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			const settling, watched = 15 * time.Second, 10 * time.Minute
			s, l, start := &strict{limit: c.takes}, New(float64(c.setting), nil), time.Now()
			s.keepAsking(t, l, c.trip, settling+watched)
			from, to := start.Add(settling), start.Add(settling+watched)
			refused, all := between(s.refused, from, to), between(s.arrivals, from, to)
			share := float64(refused) / float64(all)
			used := float64(all-refused) / watched.Seconds() / float64(c.takes)
			t.Logf("%d of %d, round trip %s: %.1f %% refused, %.1f %% used; in the first %s %d refused", c.takes, c.setting, c.trip,
				100*share, 100*used, settling, between(s.refused, start, from))
			if share >= 0.05 || used < 0.8 {
				t.Errorf("%d of %d, round trip %s: %.1f %% refused, want under 5; %.1f %% of the server's limit used, want 80",
					c.takes, c.setting, c.trip, 100*share, 100*used)
			}
			s.limit = c.setting
			lifted := time.Now()
			s.keepAsking(t, l, c.trip, 90*time.Second)
			if got := l.Rate(); got != float64(c.setting) {
				t.Errorf("%d of %d: the working rate is %g %s after the server takes everything again", c.takes, c.setting, got, time.Since(lifted))
			}
		})
	}
}

// At whatever rate, within its steps: never over the setting, never under one a
// second, and no more in a second than the working rate says.
func TestWorkingRate(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 200).Draw(rt, "limit")
		w, now := newWorking(limit), time.Unix(1_000_000, 0)
		for range rapid.IntRange(0, 200).Draw(rt, "answers") {
			now = now.Add(ms(rapid.IntRange(0, 3000).Draw(rt, "ms")))
			sent := now.Add(-ms(rapid.IntRange(0, 5000).Draw(rt, "trip ms")))
			before := w
			if rapid.IntRange(0, 9).Draw(rt, "refused") == 0 {
				w.refused(sent, now.Add(time.Second))
				switch {
				case sent.Before(before.heard) && w.rate != before.rate:
					rt.Fatalf("a request of before the pause halves again: %g to %g", before.rate, w.rate)
				case before.good > 0 && !sent.Before(before.heard) && w.rate != max(1, min(before.rate, before.good)*stepBack):
					rt.Fatalf("a refusal makes %g of %g, good at %g", w.rate, before.rate, before.good)
				case before.good == 0 && !sent.Before(before.heard) && w.rate != max(1, before.rate/2):
					rt.Fatalf("a refusal makes %g of %g", w.rate, before.rate)
				}
			} else {
				w.accepted(sent, time.Second)
				step := w.rate - before.rate
				switch {
				case step < 0 || step > float64(limit)/stepsToLimit+1e-9:
					rt.Fatalf("an answer makes %g of %g, limit %d", w.rate, before.rate, limit)
				case step > 0 && sent.Before(before.since.Add(time.Second)):
					rt.Fatalf("a step after less than a second at %g", before.rate)
				}
			}
			if w.rate < 1 || w.rate > float64(limit) {
				rt.Fatalf("rate %g, limit %d", w.rate, limit)
			}
		}
	})
}

// A burst of refusals counts once, however late they come in, and everybody
// waits for as long as the server asked.
func TestBurstCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(20, nil)
		var asked []time.Time
		for range 10 {
			sent, err := l.Take(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			asked = append(asked, time.Now())
			sent()
		}
		for _, at := range asked {
			l.Refused(at, 0)
			time.Sleep(300 * time.Millisecond)
		}
		if got := l.Rate(); got != 10 {
			t.Errorf("working rate %g after ten refusals of one burst, want 10", got)
		}
		start := time.Now()
		l.Refused(asked[9], 7*time.Second)
		l.Accepted(asked[9])
		if _, err := l.Take(t.Context()); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited != 7*time.Second || l.Rate() != 10 {
			t.Errorf("waited %s at rate %g, want 7s at 10", waited, l.Rate())
		}
		l.Refused(time.Now(), 0)
		if got := l.Rate(); got != 5 {
			t.Errorf("working rate %g after a refusal at 10, want 5", got)
		}
	})
}

// The pace is even at a lowered rate, and a late wake-up makes no burst.
func TestLoweredPaceIsEven(t *testing.T) {
	for n := range 6 {
		halvings, stalls := 1+n%3, n >= 3
		synctest.Test(t, func(t *testing.T) {
			l := New(20, nil)
			for range halvings {
				l.Refused(time.Now(), 0)
				time.Sleep(2 * time.Second)
			}
			rate := l.Rate()
			if want := 20 / float64(int(1)<<halvings); rate != want {
				t.Fatalf("working rate %g, want %g", rate, want)
			}
			var sends []time.Time
			for i := range 100 {
				sent, err := l.Take(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if stalls && i%30 == 7 {
					time.Sleep(700 * time.Millisecond) // held up between slot and sending
				}
				sends = append(sends, time.Now())
				sent()
			}
			least := time.Duration(0.79 * float64(time.Second) / rate)
			for i := 1; i < len(sends); i++ {
				if gap := sends[i].Sub(sends[i-1]); gap < least && !(stalls && i%30 == 8) {
					t.Errorf("rate %g: request %d comes %s after the one before", rate, i, gap)
				}
			}
			if most := mostInWindow(slices.Clone(sends), time.Second); most > int(math.Ceil(rate)) {
				t.Errorf("rate %g: %d requests in a second", rate, most)
			}
			if used := float64(len(sends)-1) / sends[99].Sub(sends[0]).Seconds() / rate; used < 0.95 && !stalls {
				t.Errorf("rate %g: %.0f %% of it used", rate, 100*used)
			}
		})
	}
}

// A refusal where a whole second was accepted before costs a pause and a
// twentieth; one where none was halves.
func TestOneRefusalIsNoReasonToHalve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(20, nil)
		want := 20.
		for range 3 {
			time.Sleep(time.Second)
			l.Accepted(time.Now())
			want = min(l.Rate(), want) * stepBack // the rate may have taken a step
			start := time.Now()
			l.Refused(start, 0)
			if got := l.Rate(); got != want {
				t.Errorf("working rate %g after a refusal, want %g", got, want)
			}
			if _, err := l.Take(t.Context()); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(start); waited < time.Second {
				t.Errorf("waited %s, want a second", waited)
			}
		}
		l.Refused(time.Now(), 0)
		if got := l.Rate(); got != want/2 {
			t.Errorf("working rate %g after a refusal at once, want the half of %g", got, want)
		}
	})
}

// On a network that brings requests closer together than they left, so that the
// server now and then counts one too many, most of the limit is used all the same.
func TestRareRefusalsCostLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(20, nil)
		start, accepted := time.Now(), 0
		for n := 1; time.Since(start) < 10*time.Minute; n++ {
			sent, err := l.Take(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			sent()
			if n%600 == 0 { // once in half a minute
				l.Refused(time.Now(), 0)
				continue
			}
			accepted++
			l.Accepted(time.Now())
		}
		used := float64(accepted) / time.Since(start).Seconds() / 20
		t.Logf("%.1f %% of the limit used", 100*used)
		if used < 0.92 {
			t.Errorf("%.1f %% of the limit used with a refusal in half a minute, want 92", 100*used)
		}
	})
}

// Settings of one a second and less are never lowered; the server's wait is kept.
func TestSlowSettingsStay(t *testing.T) {
	for _, rate := range []float64{1, 0.5, 0.01} {
		synctest.Test(t, func(t *testing.T) {
			l := New(rate, nil)
			l.Refused(time.Now(), 0)
			if got := l.Rate(); got < rate*0.999 || got > rate*1.001 {
				t.Errorf("working rate %g, want %g", got, rate)
			}
			start := time.Now()
			if _, err := l.Take(t.Context()); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(start); waited < l.Window() {
				t.Errorf("rate %g: waited %s after a refusal", rate, waited)
			}
		})
	}
}
