package zim

import (
	"math/rand/v2"
	"sync"
	"time"
)

// How many requests in a row bring nothing before the others are held up, and how
// long ZIM is left alone between two probes: at first and at most.
const (
	opensAfter = 20
	nearlyOpen = 17 // but for what one batch tries, which alone is no sign
	firstPause = time.Second
	mostPause  = 30 * time.Second
)

// breaker holds requests up while ZIM does not answer. Of what fails in a row the
// 20th opens it. While it is open one request at a time goes, a probe, after
// pauses of 1, 2, 4 … 30 s. A reply closes it, also one that says no, since it
// was ZIM that spoke.
//
//	closed ── 20 in a row brought nothing ──→ open ── pause ──→ probe ── a reply ──→ closed
//	                                           ↑ ── twice the pause ── nothing ┘
//
// A connect that takes too long opens it at once: who waits for a connection would
// wait as long, two at a time.
type breaker struct {
	// told hears why it has opened, or nil when it has closed. It is called with mu
	// held, so that it hears both in their order.
	told func(why *OutageError)
	// jitter is a random number from 0 to 1.
	jitter func() float64

	mu      sync.Mutex   // guards all below
	outage  *OutageError // nil while closed
	row     int          // failures since the last reply
	first   time.Time    // when the first of them left
	why     error        // what became of the newest of them
	replied time.Time    // when the newest request left that got a reply
	pause   time.Duration
	next    time.Time // when a probe may go
	probing bool
	changed chan struct{} // closed and made anew when it closes, or a probe has ended
}

func newBreaker(told func(*OutageError)) *breaker {
	return &breaker{told: told, jitter: rand.Float64, changed: make(chan struct{})}
}

// entry is what a request finds at the breaker.
type entry struct {
	outage *OutageError // nil: go
	probe  bool         // go all the same, and call leave behind it
	wait   time.Duration
	change <-chan struct{} // to be waited for, or for wait, if that is not 0
}

// enter asks whether a request may go. A probe is one that might bring nothing.
func (b *breaker) enter(now time.Time) entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.outage == nil:
		return entry{}
	case b.probing:
		return entry{outage: b.outage, change: b.changed}
	case now.Before(b.next):
		return entry{outage: b.outage, change: b.changed, wait: b.next.Sub(now)}
	}
	b.probing = true
	return entry{outage: b.outage, probe: true}
}

// leave ends a probe, whatever became of it.
func (b *breaker) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	b.broadcast()
}

// hurry lets a probe go at once, if one may go at all.
func (b *breaker) hurry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next = time.Time{}
	b.broadcast()
}

// good notes that a request, sent then, got a reply.
func (b *breaker) good(sent time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.row = 0
	if sent.After(b.replied) {
		b.replied = sent
	}
	if b.outage != nil {
		b.outage = nil
		b.told(nil)
		b.broadcast()
	}
}

// bad notes that a request, sent then, brought nothing; sure when that alone is
// enough. What left before a request that got a reply says nothing new: it may
// have waited long for its end.
func (b *breaker) bad(sent, now time.Time, probe, sure bool, why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.outage != nil && probe:
		b.pause = min(2*b.pause, mostPause)
		b.outage = &OutageError{Since: b.outage.Since, Err: why}
	case b.outage != nil, sent.Before(b.replied):
		return
	default:
		if b.row++; b.row == 1 {
			b.first = sent
		}
		b.why = why
		if b.row < opensAfter && !sure {
			return
		}
		b.outage, b.pause = &OutageError{Since: b.first, Err: why}, firstPause
		b.told(b.outage)
	}
	b.next = now.Add(time.Duration((0.8 + 0.4*b.jitter()) * float64(b.pause)))
}

// doubtful tells whether ZIM answers nobody, or nobody for so long that a few more
// failures will make it sure.
func (b *breaker) doubtful() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.outage != nil || b.row >= nearlyOpen
}

// silent returns an [*UnreachedError] when the first of the failures in a row left
// that long ago that somebody should know, though there may be few of them.
func (b *breaker) silent(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.outage != nil || b.row == 0 || now.Sub(b.first) < silentAfter {
		return nil
	}
	return &UnreachedError{Since: b.first, Err: b.why, asked: true}
}

// isProbing tells whether a probe is under way.
func (b *breaker) isProbing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.probing
}

// down returns why it is open, nil while it is closed.
func (b *breaker) down() *OutageError {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.outage
}

// broadcast wants the lock.
func (b *breaker) broadcast() {
	close(b.changed)
	b.changed = make(chan struct{})
}
