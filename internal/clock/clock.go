package clock

import (
	"sync"
	"time"
)

// Clock tells the time, and never an earlier one than before. It may be used from
// any goroutine.
//
// It follows the machine's clock forward at once, also over a jump, as after the
// machine has slept. When that clock is set back it goes on from where it was, at
// half the pace, until the machine's has caught up:
//
//	told     ──────╮ half the pace    ╭──────
//	               ╰─────────────────╯
//	machine  ──────┐ set back by 10 s ╭──────
//	               └──────────────────╯ 20 s later
//
// Half, and not standing still, so that what comes later has a later time. A clock
// that was an hour ahead is followed by two hours in which this one is ahead of
// the machine's; a restart ends them.
type Clock struct {
	read Reading

	mu   sync.Mutex // guards all below
	told time.Time
	at   time.Duration // when it was told, by the clock that nobody sets
}

// Reading reads the machine's two clocks: the time, which can be set, and the time
// since some moment, which only grows but may stand still while the machine sleeps.
type Reading func() (now time.Time, elapsed time.Duration)

// New returns a clock that goes by the reading; nil for the machine's own.
func New(read Reading) *Clock {
	if read == nil {
		began := time.Now()
		read = func() (time.Time, time.Duration) {
			now := time.Now()
			return now, now.Sub(began)
		}
	}
	return &Clock{read: read}
}

// Now returns the time in UTC, without a monotonic reading: differences are between
// what was told.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, elapsed := c.read()
	now = now.Round(0).UTC()
	if least := c.told.Add(max(0, elapsed-c.at) / 2); !c.told.IsZero() && least.After(now) {
		now = least
	}
	c.told, c.at = now, elapsed
	return now
}
