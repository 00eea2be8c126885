package zim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// outlast is how long a sweep waits for ZIM to answer again before it gives up who
// has not been asked.
const outlast = 30 * time.Second

// OutageError says that ZIM does not answer: requests are held up but for one at a time.
type OutageError struct {
	// Since is when the first request left that brought nothing, with no reply to
	// another one after it.
	Since time.Time
	// Err is what became of the newest of them.
	Err error
}

func (o *OutageError) Error() string {
	return fmt.Sprintf("ZIM does not answer since %s: %v", o.Since.UTC().Format(time.RFC3339), o.Err)
}

func (o *OutageError) Unwrap() error { return o.Err }

// held is the failure of those who are not asked because of it.
func (o *OutageError) held() *Error { return &Error{Class: Weather, Err: o, held: true} }

// errReopened is what those get who have lost the right to go while they waited.
var errReopened = errors.New("ZIM does not answer any more")

// holdup is since when one call has been held up by an outage.
type holdup struct {
	mu    sync.Mutex
	since time.Time // zero for not
	tried bool      // for the last time
}

// over forgets it.
func (h *holdup) over() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.since, h.tried = time.Time{}, false
}

// enter is that of the breaker, for as long as most since it began, which may be
// now. Behind that there is one last try at once, so that the pause before the next
// probe is not waited for in vain; then all give up together.
func (h *holdup) enter(b *breaker, now time.Time, most time.Duration) (e entry, giveUp bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.IsZero() {
		h.since = now
	}
	left := most - now.Sub(h.since)
	if left <= 0 && !h.tried {
		h.tried = true
		b.hurry()
	} else if left <= 0 && !b.isProbing() {
		return entry{outage: b.down()}, true
	}
	e = b.enter(now)
	if left > 0 && (e.wait == 0 || left < e.wait) {
		e.wait = left
	}
	return e, false
}

// admit returns when a request may go; a probe has to leave the breaker behind it.
// While ZIM does not answer a sweep waits, for a while; a confirmation does not,
// but may be the probe when one is due. Between two sweeps nobody else would find
// out that ZIM is back.
func (a *asking) admit(ctx context.Context) (probe bool, err error) {
	b := a.client.breaker
	for {
		if b.down() == nil {
			a.holdup.over()
			return false, nil
		}
		e, giveUp := a.enter(time.Now())
		switch {
		case e.outage == nil:
			continue
		case e.probe:
			return true, nil
		case giveUp:
			return false, e.outage.held()
		}
		if err := waitFor(ctx, e.change, e.wait); err != nil {
			return false, err
		}
	}
}

// enter is how the lane meets the breaker.
func (a *asking) enter(now time.Time) (e entry, giveUp bool) {
	if a.lane.name == LaneConfirm {
		return a.client.breaker.enter(now), true
	}
	return a.holdup.enter(a.client.breaker, now, a.client.outlast)
}

// waitFor waits for the change, at most for a time; 0 for however long.
func waitFor(ctx context.Context, change <-chan struct{}, most time.Duration) error {
	var late <-chan time.Time
	if most > 0 {
		timer := time.NewTimer(most)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-change:
	case <-late:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// judge tells the breaker what became of a request that left then. What may not
// leave any more, or was broken off by us, says nothing about ZIM.
func (a *asking) judge(ctx context.Context, sent time.Time, probe bool, err error) {
	c := a.client
	var e *Error
	switch {
	case err != nil && ctx.Err() != nil, c.cfg.Allowed != nil && !c.cfg.Allowed():
	case errors.As(err, &e) && e.Class == Weather:
		c.breaker.bad(sent, time.Now(), probe, false, e)
	default:
		c.breaker.good(sent)
	}
}

// Outage returns an [*OutageError] while ZIM does not answer, nil while it does.
func (c *Client) Outage() error {
	if o := c.breaker.down(); o != nil {
		return o
	}
	return nil
}

// tellOutage says aloud that ZIM has stopped to answer, or answers again.
func (c *Client) tellOutage(o *OutageError) {
	if o != nil {
		c.cfg.Log.Warn().Err(o).Msg("ZIM does not answer; one request at a time goes until it does")
	} else {
		c.cfg.Log.Info().Msg("ZIM answers again")
	}
	if c.cfg.Outage == nil {
		return
	}
	if o == nil {
		c.cfg.Outage(nil)
	} else {
		c.cfg.Outage(o)
	}
}
