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

// mostInWindow returns the most of the times that any half-open span of the
// given length holds.
func mostInWindow(times []time.Time, span time.Duration) (most int) {
	slices.SortFunc(times, time.Time.Compare)
	first := 0
	for last := range times {
		for times[last].Sub(times[first]) >= span {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

// Whatever the callers do - idle, come in crowds, dawdle between slot and send,
// give up, are refused - no sliding second holds more sends than the limit.
func TestNoSlidingSecondOverTheLimit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rate := rapid.OneOf(rapid.Float64Range(0.2, 3), rapid.Float64Range(1, 60)).Draw(rt, "rate")
		crowds := rapid.SliceOfN(rapid.IntRange(1, 70), 1, 6).Draw(rt, "crowds")
		idle := rapid.SliceOfN(rapid.IntRange(0, 3000), 6, 6).Draw(rt, "idle ms")
		dawdle := rapid.SliceOfN(rapid.IntRange(0, 400), 1, 40).Draw(rt, "dawdle ms")
		limit, span := max(1, int(rate)), time.Second
		if rate < 1 {
			span = time.Duration(float64(time.Second) / rate)
		}
		most := 0
		patience := rapid.SliceOfN(rapid.IntRange(1, 60_000), 1, 40).Draw(rt, "patience ms")
		says := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 40).Draw(rt, "refused where 0")
		synctest.Test(t, func(t *testing.T) {
			l := New(rate, nil)
			var mu sync.Mutex
			var sends []time.Time
			var callers sync.WaitGroup
			caller := func(i int) {
				ctx, cancel := context.WithTimeout(t.Context(), ms(patience[i%len(patience)]))
				defer cancel()
				sent, err := l.Take(ctx)
				if err != nil {
					return
				}
				time.Sleep(ms(dawdle[i%len(dawdle)]))
				mu.Lock()
				at := time.Now()
				sends = append(sends, at)
				mu.Unlock()
				sent()
				time.Sleep(ms(dawdle[(i+1)%len(dawdle)]))
				if says[i%len(says)] == 0 {
					l.Refused(at, ms(dawdle[i%len(dawdle)]))
				} else {
					l.Accepted(at)
				}
				if rate < 1 && l.Rate() < rate*0.999 || l.Rate() > max(1, rate) {
					t.Errorf("working rate %g of %g", l.Rate(), rate)
				}
			}
			n := 0
			for c, crowd := range crowds {
				for range crowd {
					i := n
					callers.Go(func() { caller(i) })
					n++
					synctest.Wait()
				}
				time.Sleep(ms(idle[c]))
			}
			callers.Wait()
			most = mostInWindow(sends, span)
		})
		if most > limit {
			rt.Fatalf("rate %g: %d sends in %s, the limit is %d", rate, most, span, limit)
		}
	})
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func TestUsesNearlyAllOfTheLimit(t *testing.T) {
	for _, rate := range []float64{1, 2, 20, 100, 1000} {
		synctest.Test(t, func(t *testing.T) {
			l := New(rate, nil)
			start := time.Now()
			n := int(rate) * 60
			for range n {
				sent, err := l.Take(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				sent()
			}
			used := float64(n) / time.Since(start).Seconds() / rate
			if used < 0.98 {
				t.Errorf("rate %g: %.2f %% of the limit used, want 98", rate, 100*used)
			}
		})
	}
}

func TestPacesEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(20, nil)
		var last time.Time
		for i := range 200 {
			sent, err := l.Take(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			sent()
			if gap := time.Since(last); i > 0 && gap < 40*time.Millisecond {
				t.Fatalf("request %d came %s after the one before, want at least 40ms", i, gap)
			}
			last = time.Now()
			if i == 100 {
				time.Sleep(10 * time.Second)
			}
		}
	})
}

func TestServesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(20, nil)
		served := make(chan int, 50)
		for i := range 50 {
			go func() {
				sent, err := l.Take(t.Context())
				if err == nil {
					sent()
					served <- i
				}
			}()
			synctest.Wait()
		}
		for want := range 50 {
			if got := <-served; got != want {
				t.Fatalf("served %d, want %d", got, want)
			}
		}
	})
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := errors.New("lease lost")
		var err error
		l := New(1, func(context.Context) error { return err })
		take := func(ctx context.Context) error {
			sent, err := l.Take(ctx)
			if err == nil {
				sent()
			}
			return err
		}
		if err := take(t.Context()); err != nil {
			t.Fatal(err)
		}
		err = lost
		if got := take(t.Context()); !errors.Is(got, lost) {
			t.Errorf("refused slot: got %v, want %v", got, lost)
		}
		err = nil
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(gone)
		if got := take(ctx); !errors.Is(got, gone) {
			t.Errorf("cancelled: got %v, want %v", got, gone)
		}
		if got := l.Spent(); got != 1 {
			t.Errorf("spent %d slots, want 1: a refusal is free", got)
		}
	})
}

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(20, nil)
		if !l.FreeAt().IsZero() {
			t.Errorf("FreeAt of an unspent budget = %s, want zero", l.FreeAt())
		}
		start := time.Now()
		l.Pause(start.Add(3 * time.Second))
		l.Pause(start.Add(time.Second))
		if got, want := l.FreeAt(), start.Add(3*time.Second); !got.Equal(want) {
			t.Errorf("FreeAt of an unspent budget in a pause = %s, want its end, %s", got, want)
		}
		sent, err := l.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("slot after %s, want 3s", got)
		}
		next, err := l.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		next()
		time.Sleep(200 * time.Millisecond)
		sent() // later than the slot behind it
		if got, want := time.Until(l.FreeAt()), time.Second+Guard; got != want {
			t.Errorf("free in %s, want %s after the send", got, want)
		}
		l.Pause(time.Now().Add(time.Minute))
		if got, want := time.Until(l.FreeAt()), time.Minute; got != want {
			t.Errorf("free in %s, want %s: the pause is not over", got, want)
		}
	})
}
