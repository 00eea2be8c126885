package budget

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// change is a rate, and how many had been sent when it was set.
type change struct {
	rate  float64
	after int
}

// crowded returns how many of the times the span holds that ends with the time last,
// where that is more than the limit that was in force by then.
func crowded(times []time.Time, changes []change) (last time.Time, most, limit int) {
	for i, c := range changes {
		until := len(times)
		if i+1 < len(changes) {
			until = changes[i+1].after
		}
		limit, span := limitOf(c.rate)
		for first, end := 0, 0; end < until; end++ {
			for times[end].Sub(times[first]) >= span {
				first++
			}
			if n := end - first + 1; end >= c.after && n > limit {
				return times[end], n, limit
			}
		}
	}
	return time.Time{}, 0, 0
}

// However often the rate changes, no span that ends behind a change holds more than
// the limit that is in force by then. Whoever gets a slot sends at once, so that what
// was sent behind a change was handed out behind it.
func TestNoSlidingSecondOverTheLimitWhateverTheRateBecomes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rates := rapid.SliceOfN(rapid.OneOf(rapid.Float64Range(0.2, 3), rapid.Float64Range(1, 60)), 2, 8).Draw(rt, "rates")
		pauses := rapid.SliceOfN(rapid.IntRange(0, 2500), len(rates), len(rates)).Draw(rt, "ms until the next")
		callers := rapid.IntRange(1, 4).Draw(rt, "callers")
		says := rapid.SliceOfN(rapid.IntRange(0, 30), 1, 60).Draw(rt, "refused where 0")
		synctest.Test(t, func(t *testing.T) {
			l := New(rates[0], nil)
			began, changes := time.Now(), []change{{rates[0], 0}}
			ctx, stop := context.WithCancel(t.Context())
			var mu sync.Mutex
			var sends []time.Time
			var calling sync.WaitGroup
			for range callers {
				calling.Go(func() {
					for n := 0; ; n++ {
						sent, err := l.Take(ctx)
						if err != nil {
							return
						}
						at := time.Now()
						sent()
						mu.Lock()
						sends = append(sends, at)
						mu.Unlock()
						if says[n%len(says)] == 0 {
							l.Refused(at, 0)
						} else {
							l.Accepted(at)
						}
					}
				})
			}
			for i, rate := range rates[1:] {
				time.Sleep(ms(pauses[i]) + time.Microsecond)
				synctest.Wait()
				mu.Lock()
				changes = append(changes, change{rate, len(sends)})
				mu.Unlock()
				l.SetRate(rate)
				if limit, span := limitOf(rate); l.Rate() > float64(limit)/span.Seconds() || l.Window() != span+Guard {
					t.Errorf("rate %g: works at %g, window %s", rate, l.Rate(), l.Window())
				}
			}
			time.Sleep(ms(pauses[len(pauses)-1]))
			stop()
			calling.Wait()
			if !slices.IsSortedFunc(sends, time.Time.Compare) {
				t.Error("the sends are in disorder")
			}
			if at, most, limit := crowded(sends, changes); most > 0 {
				rt.Fatalf("rates %v after %v ms: %d sends in the span that ends %s after the beginning, the limit is %d",
					rates, pauses, most, at.Sub(began), limit)
			}
		})
	})
}

// A new rate is used as fully as one from the beginning, from its first second on.
func TestUsesNearlyAllOfANewLimit(t *testing.T) {
	for _, c := range []struct{ from, to float64 }{{5, 20}, {20, 5}, {0.01, 20}, {100, 1}, {1, 100}, {20, 0.5}, {1000, 20}} {
		synctest.Test(t, func(t *testing.T) {
			l := New(c.from, nil)
			take := func(n int) {
				for range n {
					sent, err := l.Take(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					sent()
				}
			}
			take(max(8, int(c.from*3)))
			l.SetRate(c.to)
			start, n := time.Now(), max(10, int(c.to*60))
			take(n)
			if used := float64(n) / (time.Since(start).Seconds() * c.to); used < 0.9 || n > 500 && used < 0.97 {
				t.Errorf("from %g to %g a second: %.2f %% of the limit used", c.from, c.to, 100*used)
			}
		})
	}
}

// Who waits for a slot at the old rate does not wait for it any longer than the new one
// wants; and a slot that is about to be handed out waits by the new rate.
func TestWhoWaitsGoesByTheNewRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var during func()
		l := New(0.001, func(context.Context) error {
			if during != nil {
				during()
			}
			return nil
		})
		take := func() time.Duration {
			start := time.Now()
			sent, err := l.Take(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			sent()
			return time.Since(start)
		}
		take()
		time.AfterFunc(time.Second, func() { l.SetRate(20) })
		if got, most := take(), time.Second+50*time.Millisecond; got > most {
			t.Errorf("a slot after %s, want %s at the most", got, most)
		}
		time.Sleep(time.Minute)
		take()
		time.Sleep(time.Minute)
		during = func() { during = nil; l.SetRate(20); l.Pause(time.Now().Add(time.Second)) }
		if got := take(); got < time.Second {
			t.Errorf("a slot after %s, though a pause was made before it was handed out", got)
		}
	})
}

// A rate that was lowered for complaints does not rise because the limit does, and is
// never over it.
func TestComplaintsOutliveAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(20, nil)
		l.Refused(time.Now(), 0)
		l.SetRate(40)
		if got := l.Rate(); got != 10 {
			t.Errorf("working rate %g after a refusal at 20 and a new limit of 40, want 10", got)
		}
		l.SetRate(4)
		if got := l.Rate(); got != 4 {
			t.Errorf("working rate %g at a limit of 4", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.Take(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a slot for who has gone: %v", err)
		}
	})
}
