package plan

import (
	"math"
	"slices"
	"testing"
	"time"
)

// wants are watchlists of all sorts: that fit and that do not, on even and uneven
// schedules, with and without holds, long ids, slow servers and low rates.
func wants() map[string]Want {
	plain := Want{Users: 10_000, Rate: 20, Batch: 100, Latency: 60 * time.Millisecond, Timeout: 5 * time.Second,
		Gaps: []time.Duration{time.Minute}, ChangesPerHour: 20_000}
	with := func(change func(*Want)) Want {
		w := plain
		change(&w)
		return w
	}
	return map[string]Want{
		"plain":           plain,
		"just fits":       with(func(w *Want) { w.Users = 118_000 }),
		"back to back":    with(func(w *Want) { w.Users = 200_000 }),
		"uneven, partly":  with(func(w *Want) { w.Users, w.Gaps = 40_000, []time.Duration{10e9, 50e9, 25e9, 100e9} }),
		"uneven, skipped": with(func(w *Want) { w.Users, w.Gaps = 30_000, []time.Duration{5e9, 5e9, 5e9, 100e9} }),
		"uneven, all":     with(func(w *Want) { w.Users, w.Gaps = 10_000, []time.Duration{10e9, 50e9, 25e9, 100e9} }),
		"long ids":        with(func(w *Want) { w.IDBytes = 160 }),
		"slow server":     with(func(w *Want) { w.Rate, w.Users, w.Latency = 40, 200_000, 900*time.Millisecond }),
		"rate of 1":       with(func(w *Want) { w.Rate, w.Users = 1, 20_000 }),
		"rate of a half":  with(func(w *Want) { w.Rate, w.Users, w.Batch = 0.5, 2000, 50 }),
		"hold offline":    with(func(w *Want) { w.HoldOffline = 20 * time.Second }),
		"hold both":       with(func(w *Want) { w.HoldOffline, w.HoldOnline = 30*time.Second, 5*time.Second }),
		"hold, back to back": with(func(w *Want) {
			w.Users, w.HoldOffline, w.HoldOnline, w.ChangesPerHour = 200_000, 20*time.Second, 20*time.Second, 100_000
		}),
		"hold, slow": with(func(w *Want) {
			w.Rate, w.Users, w.HoldOffline, w.ChangesPerHour = 2, 20_000, 10*time.Second, 2000
		}),
		"hold, rare": with(func(w *Want) { w.HoldOffline, w.HoldOnline, w.ChangesPerHour = 9e9, 9e9, 300 }),
		"hold, a crowd": with(func(w *Want) {
			w.Rate, w.Users, w.HoldOffline, w.HoldOnline, w.ChangesPerHour = 100, 20_000, 20e9, 20e9, 200_000
		}),
		"hold, many": with(func(w *Want) { w.HoldOffline, w.HoldOnline, w.ChangesPerHour = 20e9, 20e9, 100_000 }),
	}
}

// What is reckoned is what many sweeps of a simulation come to.
func TestAgainstSimulation(t *testing.T) {
	for name, w := range wants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := simulate(w, 7, rounds(w, 25*Reckon(w).Between.Mean.Seconds()))
			w.ChangesPerHour = float64(len(m.seen)) / m.hours // who changed twice in between was seen not at all
			p := Reckon(w)
			near := func(what string, got time.Duration, want, tolerance, slack float64) {
				t.Helper()
				if math.Abs(got.Seconds()-want) > tolerance*want+slack {
					t.Errorf("%s: reckoned %s, simulated %.2fs", what, got, want)
				}
			}
			// A sweep that begins with a rested budget may be some slots ahead.
			bound := func(what string, got time.Duration, all []float64, least float64) {
				t.Helper()
				if worst := slices.Max(all); worst > got.Seconds()+0.25 || worst < least*got.Seconds() {
					t.Errorf("%s: at most %s reckoned, %.2fs simulated", what, got, worst)
				}
			}
			near("sweep", p.Sweep, mean(m.sweeps), 0.05, 0.15)
			near("between", p.Between.Mean, mean(m.cycles), 0.02, 0.1)
			bound("between", p.Between.Worst, m.cycles, 0.95)
			noise := func(all []float64) float64 { return p.Between.Worst.Seconds() / math.Sqrt(float64(len(all))) }
			near("seen", p.Seen.Mean, mean(m.seen), 0.03, noise(m.seen))
			bound("seen", p.Seen.Worst, m.seen, 0.8)
			near("offline", p.Offline.Mean, mean(m.offline), 0.02, noise(m.offline))
			bound("offline", p.Offline.Worst, m.offline, 0.7)
			near("online", p.Online.Mean, mean(m.online), 0.02, noise(m.online))
			bound("online", p.Online.Worst, m.online, 0.7)
			for way, told := range []Span{p.Offline, p.Online} {
				if hold := []time.Duration{w.HoldOffline, w.HoldOnline}[way]; hold > 0 {
					wait := Span{told.Mean - p.Seen.Mean - hold, told.Worst - p.Seen.Worst - hold}
					// Who is gathered with others waits less than who is alone, and that is reckoned.
					if got := mean(m.waits[way]); got > wait.Mean.Seconds()+0.05 || got < wait.Mean.Seconds()/3 {
						t.Errorf("beyond the hold: reckoned %s, simulated %.2fs", wait.Mean, got)
					}
					bound("beyond the hold", wait.Worst, m.waits[way], 0)
				}
			}
			t.Logf("%+v\nsimulated: sweep %.2f, seen %.2f, offline %.2f, online %.2f, beyond %.2f and %.2f, again %.0f an hour (reckoned %.0f), budget %.3f (reckoned %.3f)",
				p, mean(m.sweeps), mean(m.seen), mean(m.offline), mean(m.online), mean(m.waits[0]), mean(m.waits[1]), float64(m.askedAgain)/m.hours, p.Hold.PerHour,
				float64(m.requests)/m.slots, p.Budget)
			if got, want := p.Hold.PerHour, float64(m.askedAgain)/m.hours; got < 0.95*want-5 || got > 1.3*want+5 {
				t.Errorf("asked again: %.0f an hour reckoned, %.0f simulated", got, want)
			}
			if got, want := p.Budget, float64(m.requests)/m.slots; math.Abs(got-want) > 0.03 {
				t.Errorf("budget: %.3f reckoned, %.3f simulated", got, want)
			}
		})
	}
}

// rounds is a time of at least so many seconds that ends with a round of the schedule.
func rounds(w Want, least float64) float64 {
	round := 0.0
	for _, gap := range w.Gaps {
		round += gap.Seconds()
	}
	return round*math.Ceil(least/round) + 1
}

func mean(all []float64) float64 {
	sum := 0.0
	for _, v := range all {
		sum += v
	}
	return sum / float64(len(all))
}
