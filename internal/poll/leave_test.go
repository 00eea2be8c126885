package poll

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zim-presence/poller/presence"
)

// Asked to leave, it finishes the sweep that runs, and begins no other.
func TestLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		asked time.Duration   // after the start
		last  []time.Duration // how long each sweep lasts
		left  time.Duration
		want  int // sweeps
	}{
		"before the first sweep": {0, nil, 0, 1},
		"between two":            {4 * time.Second, nil, 4 * time.Second, 1},
		"in one":                 {12 * time.Second, []time.Duration{0, 7 * time.Second}, 17 * time.Second, 2},
		"with no time between":   {12 * time.Second, []time.Duration{15 * time.Second, 20 * time.Second}, 15 * time.Second, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBook()
			r := recorder(t, newList("a"), lasting(c.last...), b)
			leave := make(chan struct{}, 1)
			r.Leave = leave
			if c.asked == 0 {
				leave <- struct{}{}
			} else {
				time.AfterFunc(c.asked, func() { leave <- struct{}{} })
			}
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := r.Run(ctx)
			if left := time.Since(began); !errors.Is(err, ErrGivenUp) || left != c.left || len(b.snapshots) != c.want || b.broken != nil {
				t.Errorf("%s: Run() = %v after %s and %d sweeps, want %v after %s and %d; %v",
					name, err, left, len(b.snapshots), ErrGivenUp, c.left, c.want, b.broken)
			}
		})
	}
}

// A wish that was taken back in time is none.
func TestStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		r := recorder(t, newList("a"), script(func(ctx context.Context, users []presence.User, answers chan<- presence.Answer) error {
			return lasting(5*time.Second)(ctx, users, answers)
		}), b)
		leave := make(chan struct{}, 1)
		r.Leave = leave
		time.AfterFunc(2*time.Second, func() { leave <- struct{}{} })
		time.AfterFunc(3*time.Second, func() { <-leave })
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := r.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Run() = %v, want that of ctx", err)
		}
	})
}
