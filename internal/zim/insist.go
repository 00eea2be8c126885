package zim

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/zim-presence/poller/presence"
)

// splitter goes on with a batch that ZIM refused for one of its ids.
type splitter func(ctx context.Context, batch []presence.User) error

// insist asks about a batch until everybody in it is answered or given up; a
// batch that is to be split goes to split. answered tells whether ZIM accepted
// it. Retries wait inside the budget: each takes its own slot. An error ends the
// whole call.
func (a *asking) insist(ctx context.Context, batch []presence.User, split splitter) (answered bool, err error) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = 200*time.Millisecond, 5*time.Second
	failures, all := map[Class]int{}, 0
	for {
		r, err := a.once(ctx, batch)
		var failure *Error
		switch {
		case err == nil && len(r.again) == 0:
			return true, nil
		case err == nil:
			answered, batch, failure = true, r.again, r.passing()
		case !errors.As(err, &failure):
			return answered, err
		}
		failures[failure.Class]++
		all++
		n := failures[failure.Class]
		if a.lane.name == LaneConfirm {
			n = all
		}
		if done, err := a.giveUp(ctx, batch, failure, n, split); done {
			return answered, err
		}
		a.client.cfg.Retried()
		if failure.Class == Slow {
			continue // the budget knows, and lets everybody wait
		}
		if err := sleep(ctx, max(pauses.NextBackOff(), failure.RetryAfter)); err != nil {
			return answered, err
		}
	}
}

// giveUp decides what follows the nth failure of a class: done when the batch
// is not to be asked again.
func (a *asking) giveUp(ctx context.Context, batch []presence.User, e *Error, n int, split splitter) (done bool, err error) {
	a.complain(batch, e, n)
	switch {
	case e.Class == Stop:
		a.client.setStopped(e)
		return true, e
	case e.Class == Split:
		a.refusal.Store(e)
		return true, split(ctx, batch)
	case a.enough(e, n):
		a.n.failure.Store(e)
		a.miss(ctx, batch, presence.MissFailed)
		return true, nil
	}
	return false, nil
}

// enough tells whether the nth failure of a class is the last for a batch.
func (a *asking) enough(e *Error, n int) bool {
	if e.held || a.patience > 0 && e.RetryAfter > a.patience {
		return true
	}
	switch e.Class {
	case Weather:
		// While nobody is answered it is no fault of the batch. It waits with the others.
		return n >= a.lane.weather && (a.lane.name == LaneConfirm || !a.client.breaker.doubtful())
	case Slow:
		return n >= a.lane.slow
	case Expired:
		return n > 1
	}
	return true
}

// complain writes a failure to the log: aloud, once in a call, what somebody
// may have to look after.
func (a *asking) complain(batch []presence.User, e *Error, n int) {
	if e.held {
		return // there was no request
	}
	log := a.client.cfg.Log.Debug()
	if e.Class != Weather && e.Class != Split && a.warned.CompareAndSwap(false, true) {
		log = a.client.cfg.Log.Warn()
	}
	log.Err(e).Str("class", e.Class.String()).Int64("code", e.Code).Str("request_id", e.RequestID).
		Str("lane", string(a.lane.name)).Int("batch", len(batch)).Int("attempt", n).Msg("a request brought no answer")
}

// once sends one request and passes on what it brought, but for those whom the
// reply told to ask again.
func (a *asking) once(ctx context.Context, batch []presence.User) (reply, error) {
	r, answer, err := a.attempt(ctx, batch)
	if err != nil {
		return reply{}, err
	}
	a.client.setStopped(nil)
	if len(batch) == 1 {
		a.client.acquit(batch[0].ID)
	}
	a.n.invented.Add(int64(r.invented))
	answer.Observations, answer.Missed = r.observed, r.missed
	return r, a.tell(ctx, answer)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
