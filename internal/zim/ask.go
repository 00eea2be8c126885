package zim

import (
	"context"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zim-presence/poller/presence"
)

// Asked is what one [Client.Ask] sent.
type Asked struct {
	// Requests on the wire, repetitions included.
	Requests int
	// Invented is how many users were named in answers who had not been asked
	// about.
	Invented int
	// Failure is why a batch was given up, the last one that was; nil for none.
	Failure error
}

// counter adds up what goes into Asked.
type counter struct {
	requests, invented atomic.Int64
	failure            atomic.Pointer[Error]
}

func (n *counter) asked() Asked {
	asked := Asked{Requests: int(n.requests.Load()), Invented: int(n.invented.Load())}
	if failure := n.failure.Load(); failure != nil {
		asked.Failure = failure
	}
	return asked
}

// Ask asks about every user once and sends what comes back to answers as it
// comes, in no certain order; each user is in one answer, observed or missed.
// It returns when all has been sent, and leaves answers open. It goes through
// users twice: suspects come last.
//
// An error means that the users who were in no answer have not been asked to
// the end: it is the cause of ctx, what the budget refused with, or an [*Error]
// of class Stop. After one of those the app is asked for one batch a minute, in
// calls of Ask as they come, until that is answered; other calls return the
// error again without a request.
func (c *Client) Ask(ctx context.Context, users iter.Seq[presence.User], answers chan<- presence.Answer) (Asked, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a := c.asking(&c.sweep, answers, cancel)
	probing, err := c.probe(time.Now())
	if err != nil {
		return Asked{}, err
	}
	a.probing = probing
	c.breaker.hurry()
	apart := c.suspectsNow() // who becomes one during this call is answered by then
	a.launch(ctx, batches(users, c.course().BatchSize, func(u presence.User) bool { return !apart[u.ID] }))
	a.launch(ctx, c.trials(users, apart, func(u presence.User) { a.miss(ctx, []presence.User{u}, presence.MissRefused) }))
	return a.n.asked(), context.Cause(ctx)
}

// Confirm asks about users again whom an answer is wanted about at once. It is as
// Ask, and may run beside it, but for these: its requests go ahead of those of Ask
// that wait; they spend the same budget. Each batch is asked twice at most, and who
// had no answer then is missed, so it is over in seconds. Suspects are asked alone.
// It tries nothing with an app that is stopped: the error is what stopped it.
func (c *Client) Confirm(ctx context.Context, users []presence.User, answers chan<- presence.Answer) (Asked, error) {
	if err := c.stoppedBy(); err != nil {
		return Asked{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a := c.asking(&c.confirm, answers, cancel)
	apart := c.suspectsNow()
	a.launch(ctx, batches(slices.Values(users), c.course().BatchSize, func(u presence.User) bool { return !apart[u.ID] }))
	a.launch(ctx, batches(slices.Values(users), 1, func(u presence.User) bool { return apart[u.ID] }))
	return a.n.asked(), context.Cause(ctx)
}

// asking is one call of Ask or Confirm.
type asking struct {
	client  *Client
	lane    *lane
	answers chan<- presence.Answer
	n       counter
	refusal atomic.Pointer[Error]   // the newest of a batch for its ids
	fail    context.CancelCauseFunc // ends the call for everybody
	warned  atomic.Bool             // once is enough for one call
	holdup  holdup
	probing bool // the app is stopped; the first batch decides
	// patience bounds the wait for a slot, and for the end of what the server asked to
	// wait; 0 for no bound.
	patience time.Duration
}

func (c *Client) asking(lane *lane, answers chan<- presence.Answer, fail context.CancelCauseFunc) *asking {
	a := &asking{client: c, lane: lane, answers: answers, fail: fail}
	if lane.name == LaneConfirm {
		a.patience = c.course().patience
	}
	return a
}

// launch asks about the batches, many at a time, and returns when all are answered
// or given up, or ctx has ended.
func (a *asking) launch(ctx context.Context, batches iter.Seq[[]presence.User]) {
	var flights sync.WaitGroup
	defer flights.Wait()
	inFlight := make(chan struct{}, a.client.course().inFlight)
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
		if a.probing {
			flights.Wait() // one batch decides whether there is more to ask
			if err := a.client.stoppedBy(); err != nil {
				a.fail(err)
				return
			}
			a.probing = false
		}
	}
}

// batch asks about a batch until everybody in it is answered or given up.
func (a *asking) batch(ctx context.Context, batch []presence.User) {
	if _, err := a.insist(ctx, batch, a.split); err != nil && ctx.Err() == nil {
		a.fail(err)
	}
}

func (a *asking) miss(ctx context.Context, users []presence.User, why presence.MissReason) {
	now := presence.Instant(a.client.cfg.Now())
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
