package zim

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/zim-presence/poller/presence"
)

const (
	// mostAttempts bounds how often one batch is asked for what passes.
	mostAttempts = 4
	// mostSlow bounds how often it is asked after being told to slow down;
	// everybody waits in between, so more patience costs nobody anything.
	mostSlow = 8
	// probeEvery is how often a stopped app is tried again.
	probeEvery = time.Minute
)

// Asked is what one [Client.Ask] sent.
type Asked struct {
	// Requests on the wire, repetitions included.
	Requests int
	// Invented is how many users were named in answers who had not been asked
	// about.
	Invented int
}

// counter adds up what goes into Asked.
type counter struct{ requests, invented atomic.Int64 }

// Ask asks about every user once and sends what comes back to answers as it
// comes, in no certain order; each user is in one answer, observed or missed.
// It returns when all has been sent, and leaves answers open.
//
// An error means that the users who were in no answer have not been asked to
// the end: it is the cause of ctx, what the budget refused with, or an [*Error]
// of class Stop. After one of those the app is asked for one batch a minute, in
// calls of Ask as they come, until that is answered; other calls return the
// error again without a request.
func (c *Client) Ask(ctx context.Context, users iter.Seq[presence.User], answers chan<- presence.Answer) (Asked, error) {
	var n counter
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a := &asking{client: c, answers: answers, n: &n, fail: cancel}
	err := a.all(ctx, users)
	return Asked{Requests: int(n.requests.Load()), Invented: int(n.invented.Load())}, err
}

// asking is one call of Ask.
type asking struct {
	client  *Client
	answers chan<- presence.Answer
	n       *counter
	fail    context.CancelCauseFunc // ends the call for everybody
	warned  atomic.Bool             // once is enough for one call
}

func (a *asking) all(ctx context.Context, users iter.Seq[presence.User]) error {
	c := a.client
	probing, err := c.probe(time.Now())
	if err != nil {
		return err
	}
	var flights sync.WaitGroup
	inFlight := make(chan struct{}, c.inFlight)
	launch := func(batches iter.Seq[[]presence.User]) {
		for batch := range batches {
			select {
			case inFlight <- struct{}{}:
			case <-ctx.Done():
			}
			if ctx.Err() != nil {
				return
			}
			flights.Go(func() {
				defer func() { <-inFlight }()
				a.batch(ctx, batch)
			})
			if probing {
				flights.Wait() // one batch decides whether there is more to ask
				probing = false
			}
		}
	}
	launch(batches(users, c.cfg.BatchSize, func(u presence.User) bool { return !c.suspected(u) }))
	flights.Wait()
	launch(c.trials(users, func(u presence.User) { a.miss(ctx, []presence.User{u}, presence.MissRefused) }))
	flights.Wait()
	return context.Cause(ctx)
}

// probe tells whether the app is stopped and its turn to be tried has come; the
// error is what stopped it while it has not.
func (c *Client) probe(now time.Time) (probing bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped == nil {
		return false, nil
	}
	if now.Sub(c.probed) < probeEvery {
		return false, c.stopped
	}
	c.probed = now
	return true, nil
}

// setStopped notes what stopped the app; nil when it goes again.
func (c *Client) setStopped(e *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped == nil && e != nil {
		c.probed = time.Now()
	}
	c.stopped = e
}

// batch asks about a batch until everybody in it is answered or given up.
func (a *asking) batch(ctx context.Context, batch []presence.User) {
	if err := a.insist(ctx, batch); err != nil && ctx.Err() == nil {
		a.fail(err)
	}
}

// insist is batch, with the errors that end the whole call. Retries wait inside
// the budget: each takes its own slot.
func (a *asking) insist(ctx context.Context, batch []presence.User) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = 200*time.Millisecond, 5*time.Second
	failures := map[Class]int{}
	for {
		again, err := a.once(ctx, batch)
		if err == nil && len(again) == 0 {
			return nil
		}
		var failure *Error
		if err == nil {
			batch, failure = again, &Error{Class: Weather}
		} else if !errors.As(err, &failure) {
			return err
		}
		failures[failure.Class]++
		if done, err := a.giveUp(ctx, batch, failure, failures[failure.Class]); done {
			return err
		}
		pause := max(pauses.NextBackOff(), failure.RetryAfter)
		if failure.Class == Slow {
			pause = max(pause, time.Second)
			a.client.cfg.Budget.Pause(time.Now().Add(pause))
			continue
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// giveUp decides what follows the nth failure of a class: done when the batch
// is not to be asked again.
func (a *asking) giveUp(ctx context.Context, batch []presence.User, e *Error, n int) (done bool, err error) {
	log := a.client.cfg.Log.Debug()
	if e.Class != Weather && e.Class != Split && a.warned.CompareAndSwap(false, true) {
		log = a.client.cfg.Log.Warn()
	}
	log.Err(e).Str("class", e.Class.String()).Int64("code", e.Code).Str("request_id", e.RequestID).
		Int("batch", len(batch)).Int("attempt", n).Msg("a request brought no answer")
	switch {
	case e.Class == Stop:
		a.client.setStopped(e)
		return true, e
	case e.Class == Split:
		return true, a.split(ctx, batch)
	case e.Class == Ours, e.Class == Expired && n > 1, e.Class == Slow && n >= mostSlow, e.Class == Weather && n >= mostAttempts:
		a.miss(ctx, batch, presence.MissFailed)
		return true, nil
	}
	return false, nil
}

// once sends one request and passes on what it brought. Those whom the reply
// told to ask again are returned.
func (a *asking) once(ctx context.Context, batch []presence.User) (again []presence.User, err error) {
	r, answer, err := a.client.attempt(ctx, batch, a.n)
	if err != nil {
		return nil, err
	}
	a.client.setStopped(nil)
	if len(batch) == 1 {
		a.client.acquit(batch[0].ID)
	}
	a.n.invented.Add(int64(r.invented))
	answer.Observations, answer.Missed = r.observed, r.missed
	return r.again, a.tell(ctx, answer)
}

func (a *asking) miss(ctx context.Context, users []presence.User, why presence.MissReason) {
	now := presence.Instant(time.Now())
	answer := presence.Answer{AskedAt: now, At: now}
	for _, u := range users {
		answer.Missed = append(answer.Missed, presence.Miss{User: u, Reason: why})
	}
	_ = a.tell(ctx, answer) // ctx has ended then, which the caller sees for itself
}

func (a *asking) tell(ctx context.Context, answer presence.Answer) error {
	if len(answer.Observations) == 0 && len(answer.Missed) == 0 {
		return nil
	}
	select {
	case a.answers <- answer:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
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
