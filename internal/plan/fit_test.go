package plan

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What is said to be the most, or the least, that fits, fits, and the next does not.
func TestFit(t *testing.T) {
	for name, w := range wants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			of := func(users int) Want { return w.of(users, w.ChangesPerHour/float64(w.Users)) }
			if n := FitUsers(w); !Reckon(of(n)).Fits || Reckon(of(n+1)).Fits {
				t.Errorf("%d users are not the most that fit", n)
			}
			rate := w
			if n := FitRate(w); n > 0 {
				if rate.Rate = float64(n); !Reckon(rate).Fits {
					t.Errorf("at a rate of %d they do not fit", n)
				}
				if rate.Rate = float64(n - 1); n > 1 && Reckon(rate).Fits {
					t.Errorf("they fit at a lower rate than %d", n)
				}
			}
			every := w
			if every.Gaps = []time.Duration{FitEvery(w)}; !Reckon(every).Fits {
				t.Errorf("they do not fit into %s", every.Gaps)
			}
			if every.Gaps[0] -= time.Second; every.Gaps[0] > 0 && Reckon(every).Fits {
				t.Errorf("they fit into %s already", every.Gaps)
			}
		})
	}
}

// A thousand users do what is known without a calculation.
func TestKnown(t *testing.T) {
	w := Want{Users: 100_000, Rate: 20, Batch: 100, Gaps: []time.Duration{time.Minute}}
	if got := FitUsers(w); got != 118_200 { // 60 s / 1.015 s × 20 × 100, in whole requests
		t.Errorf("%d users fit, want 118200", got)
	}
	if got := FitRate(w); got != 17 { // 1000 requests in 60 s
		t.Errorf("a rate of %d fits, want 17", got)
	}
	if got := FitEvery(w); got != 51*time.Second { // 1000 / 20 × 1.015
		t.Errorf("every %s fits, want 51s", got)
	}
	w.Gaps, w.Latency = []time.Duration{time.Second}, 2*time.Second
	if got := FitUsers(w); got != 0 {
		t.Errorf("%d users fit into a second of which a request takes two", got)
	}
}

// Whatever is asked for, what comes of it are times and shares.
func TestAnyWant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := func(name string, least, most int) time.Duration {
			return time.Duration(rapid.IntRange(least, most).Draw(t, name)) * time.Second
		}
		w := Want{
			Users: rapid.IntRange(0, 100_000_000).Draw(t, "users"), Rate: rapid.Float64Range(0.001, 100_000).Draw(t, "rate"),
			Batch: rapid.IntRange(1, 100).Draw(t, "batch"), IDBytes: rapid.Float64Range(0, 300).Draw(t, "bytes"),
			Latency: seconds("latency", 0, 60), Timeout: seconds("timeout", 1, 60),
			ChangesPerHour: rapid.Float64Range(0, 1e9).Draw(t, "changes"),
			HoldOffline:    seconds("offline", 0, 3600), HoldOnline: seconds("online", 0, 3600),
		}
		for range rapid.IntRange(1, 5).Draw(t, "gaps") {
			w.Gaps = append(w.Gaps, seconds("gap", 1, 40_000_000))
		}
		p := Reckon(w)
		for _, share := range []float64{p.Budget, p.Hold.Budget} {
			if math.IsNaN(share) || share < 0 || share > 1 {
				t.Errorf("%+v: no share", p)
			}
		}
		for _, s := range []Span{p.Between, p.Seen, p.Offline, p.Online} {
			if s.Mean <= 0 && s.Worst > 0 || s.Worst < s.Mean || p.Sweep < 0 {
				t.Errorf("%+v: no time", p)
			}
		}
		if p.Fits && p.BackToBack || math.IsNaN(p.Hold.PerHour) {
			t.Errorf("%+v contradicts itself", p)
		}
		if p.Offline.Mean < p.Seen.Mean+w.HoldOffline || p.Online.Worst < p.Seen.Worst+w.HoldOnline {
			t.Errorf("%+v: told before it may be", p)
		}
	})
}
