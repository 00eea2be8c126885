package budget

import (
	"math"
	"time"
)

// limitOf returns the limit that a rate means: so many slots in a span.
func limitOf(rate float64) (limit int, span time.Duration) {
	if rate < 1 {
		return 1, time.Duration(math.Ceil(float64(time.Second) / rate))
	}
	return int(rate), time.Second
}

// SetRate sets another rate from now on, which means what it means to [New]. Slots
// that were handed out before stay as they are, and count:
//
//	20 a second, then 5: ││││││││││││││││││││ ↓         │    │    │    │    │
//	                              the last 5 └── 1 s ──→┘
//	5 a second, then 20: │    │    │    │    │ ↓ ││││││││││││││
//
// So no second that ends with a slot handed out behind the change holds more than the
// new limit, also where it begins before it, and no other more than the old one. Who
// waits for a slot waits by the new rate. Where the server has complained, the
// working rate stays where it is, but for the new limit.
func (l *Limiter) SetRate(rate float64) {
	limit, span := limitOf(rate)
	l.mu.Lock()
	defer l.mu.Unlock()
	if limit == l.limit && span == l.span {
		return
	}
	now := time.Now()
	l.remember(limit)
	l.limit, l.span, l.window = limit, span, span+Guard
	l.working.setLimit(limit, now)
	gap := l.working.gap(span)
	l.earliest = sooner(l.earliest, now.Add(time.Duration(leastOfAGap*float64(gap))))
	close(l.changed)
	l.changed = make(chan struct{})
}

// remember makes room for as many slots as a limit wants to look back on. There is
// never less room than there was: a limit that was lowered may be raised within the
// second. Slots that had no room are a window behind those that had: by then as many
// as the limit came after each. It wants the lock.
func (l *Limiter) remember(limit int) {
	if limit <= len(l.ring) {
		return
	}
	before := l.ring
	l.ring = make([]slot, limit)
	for i := range l.ring {
		l.ring[i].sent = true // long ago
	}
	for n := l.spent - min(l.spent, uint64(len(before))); n < l.spent; n++ {
		*l.at(n) = before[n%uint64(len(before))]
	}
}

func sooner(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
