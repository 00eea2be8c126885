// Package budget spends an app's requests: never more than the limit in any
// sliding second, and hardly ever fewer. It imports the standard library alone.
//
// A token bucket cannot promise the first: at 20 a second with burst 1 it lets
// 21 requests into half of all sliding seconds, because a late wake-up is
// followed by one on time. The [Limiter] keeps the real send times of the last
// limit requests instead, and lets the next one go no sooner than a second and
// a guard behind the oldest of them:
//
//	sent:   |1  |2  |3  …  |20      |21
//	        └── 1 s + guard ───────→┘
//
// The guard stands for what the limiter cannot see: that one request may reach
// the server a little slower than the request that follows it a second later.
//
// The limit is what was set, and the most there ever is; [Limiter.SetRate] sets
// another while requests are under way, see rate.go. When the server says
// that it is too much all the same, perhaps because others spend the same
// allowance, the working rate goes below it for everybody, and comes back by
// steps: see working.go.
package budget

import (
	"context"
	"sync"
	"time"
)

// Guard is added to the second: 15 ms leave 98.5 % of the limit to use. With 10 one
// of five runs of 20 s on a machine that was kept busy failed the server's check,
// with 15 none of ten (BenchmarkBudget).
const Guard = 15 * time.Millisecond

// Late wake-ups are made up for: the pace is allowed to be this many slots
// behind, and to close up by leaving this share of the even gap between two.
const (
	mostBehind  = 4
	leastOfAGap = 0.8
)

// Limiter hands out the slots of one app. Its methods may be called from any
// goroutine; waiters are served in the order in which they came.
type Limiter struct {
	allow func(ctx context.Context) error

	turn chan struct{} // held by the one waiter whose slot comes next

	mu        sync.Mutex    // guards all below
	limit     int           // slots in one span
	span      time.Duration // a second; longer for rates under 1
	window    time.Duration // the span and the guard
	changed   chan struct{} // closed, and made anew, when these three have changed
	ring      []slot        // the last slots, slot n at n % len(ring); as many as the highest limit so far
	spent     uint64
	pace      time.Time // the even pace's next slot
	earliest  time.Time // the next slot by the least gap
	notBefore time.Time
	working   working
}

// slot is one request's place in the ring. Until it has been sent its time
// counts as now.
type slot struct {
	at   time.Time
	sent bool
}

// New returns a limiter of rate requests a second. A rate from 1 up is cut to a
// whole number, the most that any sliding second holds; a rate below 1 means
// one request in 1/rate seconds. The rate has to be positive. allow, when not
// nil, is asked right before each slot is handed out; it may wait, and its error
// refuses the slot.
func New(rate float64, allow func(ctx context.Context) error) *Limiter {
	if allow == nil {
		allow = func(context.Context) error { return nil }
	}
	limit, span := limitOf(rate)
	return &Limiter{
		limit: limit, span: span, window: span + Guard, allow: allow, changed: make(chan struct{}),
		turn: make(chan struct{}, 1), ring: make([]slot, limit), working: newWorking(limit),
	}
}

// Take waits for the next slot. The caller sends its request at once and calls
// sent when the request has been written, or has failed to be: the slot is
// spent either way, and the second behind it is counted from then. The error is
// that of ctx, or of allow; no slot is spent then.
func (l *Limiter) Take(ctx context.Context) (sent func(), err error) {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-l.turn }()
	for {
		if err := l.await(ctx); err != nil {
			return nil, err
		}
		if err := l.allow(ctx); err != nil {
			return nil, err
		}
		if n, spent := l.spend(time.Now()); spent {
			return func() { l.markSent(n, time.Now()) }, nil
		}
	}
}

// await waits until the next slot may go.
func (l *Limiter) await(ctx context.Context) error {
	for {
		wait, changed := l.wait(time.Now())
		if wait > 0 {
			if err := sleep(ctx, wait, changed); err != nil {
				return err
			}
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return nil
	}
}

// Pause lets no slot go before until. A pause that ends earlier than one that
// stands already changes nothing.
func (l *Limiter) Pause(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until.After(l.notBefore) {
		l.notBefore = until
	}
}

// Refused notes that the server has answered a request, sent then, that it is
// one too many. No slot goes for wait, a window at least, and the working rate
// is lowered, once for all requests that were under way together: a little where
// it has been good, and to a half where it has not.
func (l *Limiter) Refused(sent time.Time, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	until := time.Now().Add(max(wait, l.window))
	l.notBefore = later(l.notBefore, until)
	l.working.refused(sent, until)
}

// Accepted notes that the server has answered a request, sent then, as asked.
// A lowered working rate comes back by that.
func (l *Limiter) Accepted(sent time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.working.accepted(sent, l.span)
}

// Rate returns the working rate, in requests a second: that of [New], or the last
// [Limiter.SetRate], while nobody complains, and never more.
func (l *Limiter) Rate() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.working.rate / l.span.Seconds()
}

// Limit returns the most requests a second: the rate, as far as it counts.
func (l *Limiter) Limit() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return float64(l.limit) / l.span.Seconds()
}

// FreeAt returns when somebody else may begin to spend the same budget: the
// latest request's time plus the window, or the end of a pause that is later. It
// is zero when nothing has been spent and no pause was made.
func (l *Limiter) FreeAt() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spent == 0 {
		return l.notBefore
	}
	var latest time.Time // slots need not be sent in their order
	for _, s := range l.ring[:min(l.spent, uint64(len(l.ring)))] {
		latest = later(latest, s.effective(time.Now()))
	}
	return later(l.notBefore, latest.Add(l.window))
}

// Window returns the time behind one request in which at most limit requests
// go: a second, or more for rates under 1, plus [Guard].
func (l *Limiter) Window() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.window
}

// Spent returns the number of slots handed out so far.
func (l *Limiter) Spent() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spent
}

// wait returns how long the next slot has to wait at now, 0 or less for not, and what
// tells that it may have to wait for another time.
func (l *Limiter) wait(now time.Time) (time.Duration, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.due(now).Sub(now), l.changed
}

// due returns when the next slot may go. It wants the lock.
func (l *Limiter) due(now time.Time) time.Time {
	due := later(l.notBefore, l.clearOf(l.limit, l.window, now))
	if n := l.working.whole(); n < l.limit {
		due = later(due, l.clearOf(n, time.Duration(n)*l.working.gap(l.span)+Guard, now))
	}
	return later(due, later(l.pace, l.earliest))
}

// clearOf returns when the slot that lies n slots back is a window ago. It wants
// the lock, and n at most the length of the ring.
func (l *Limiter) clearOf(n int, window time.Duration, now time.Time) time.Time {
	if l.spent < uint64(n) {
		return time.Time{}
	}
	return l.at(l.spent - uint64(n)).effective(now).Add(window)
}

// spend hands out the next slot, unless it has to wait, as it may when something
// has changed since it had not.
func (l *Limiter) spend(now time.Time) (n uint64, spent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.due(now).After(now) {
		return 0, false
	}
	n = l.spent
	l.spent++
	*l.at(n) = slot{at: now}
	gap := l.working.gap(l.span)
	l.pace = later(l.pace, now.Add(-mostBehind*gap)).Add(gap)
	l.earliest = now.Add(time.Duration(leastOfAGap * float64(gap)))
	return n, true
}

func (l *Limiter) markSent(n uint64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.at(n); l.spent-n <= uint64(len(l.ring)) && !s.sent {
		*s = slot{at: now, sent: true}
	}
}

// at is the place of slot n in the ring. It wants the lock.
func (l *Limiter) at(n uint64) *slot { return &l.ring[n%uint64(len(l.ring))] }

func (s slot) effective(now time.Time) time.Time {
	if s.sent {
		return s.at
	}
	return now
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// sleep waits for d, or for less when something has changed.
func sleep(ctx context.Context, d time.Duration, changed <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-changed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
