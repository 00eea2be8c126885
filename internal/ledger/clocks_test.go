package ledger

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A lease is over when either clock says so: the monotonic one stands still
// while the machine is suspended, and the wall's may be set.
func TestLeaseHoldsByBothClocks(t *testing.T) {
	const ttl = 10 * time.Second
	for _, c := range []struct {
		name       string
		mono, wall time.Duration // since the last renewal and ping
		named      bool
		want       error // of Allow; DeadlineExceeded: it waits
	}{
		{"at once", 0, 0, true, nil},
		{"within the TTL, behind a pooler", 9 * time.Second, 9 * time.Second, false, nil},
		{"past the TTL", ttl, ttl, false, ErrLeaseLost},
		{"suspended for an hour", 500 * time.Millisecond, time.Hour, false, ErrLeaseLost},
		{"suspended for an hour, session named", 500 * time.Millisecond, time.Hour, true, ErrLeaseLost},
		{"suspended for two seconds, session named", 500 * time.Millisecond, 2 * time.Second, true, context.DeadlineExceeded},
		{"clock set back by an hour, past the TTL", ttl, -time.Hour, false, ErrLeaseLost},
		{"clock set back by an hour, within it", 500 * time.Millisecond, -time.Hour, true, nil},
		{"clock set forward past the TTL", 0, ttl, true, ErrLeaseLost},
		{"unanswered for a second", time.Second, 0, true, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			renewed := readClocks()
			l := &Lease{
				terms: Terms{TTL: ttl}, lost: make(chan struct{}), heard: make(chan struct{}),
				now: func() clocks { return clocks{renewed.mono.Add(c.mono), renewed.wall.Add(c.wall)} },
			}
			l.extend(renewed, c.named)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if err := l.Allow(ctx); !errors.Is(err, c.want) {
				t.Errorf("Allow = %v, want %v", err, c.want)
			}
			if good := l.good(); good != !errors.Is(c.want, ErrLeaseLost) {
				t.Errorf("good = %t with Allow %v", good, c.want)
			}
		})
	}
}
