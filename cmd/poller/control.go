package main

import (
	"context"
	"errors"
	"time"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/poll"
	"github.com/zim-presence/poller/internal/relay"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/presence"
)

// controlStream is the door as the teller wants it.
type controlStream struct{ *stream.Stream }

// Ready makes the control stream where it is missing. What differs there and breaks
// nothing is nobody's concern.
func (c controlStream) Ready(ctx context.Context) error {
	_, err := c.EnsureControl(ctx)
	return err
}

// Tell tells.
func (c controlStream) Tell(ctx context.Context, message presence.Control) (lost bool, err error) {
	err = c.Stream.Tell(ctx, message)
	return errors.Is(err, stream.ErrUntellable) || errors.Is(err, stream.ErrTooLarge), err
}

// teller tells on the control stream of a term, with its metrics.
func (a *app) teller(lease *ledger.Lease) *relay.Teller {
	return &relay.Teller{
		Control: controlStream{a.stream}, Mark: presence.Mark{AppID: a.id, Log: lease.Log(), Epoch: lease.Epoch()}, Log: a.log,
		Failed: func(error) { a.metrics.ControlFailed() }, GivenUp: a.metrics.ControlGivenUp,
	}
}

// tellLease tells that the term begins, or ends.
func (a *app) tellLease(t *relay.Teller, released bool) {
	at := presence.Instant(a.clock.Now())
	t.Put(relay.Now, func(mark presence.Mark) presence.Control {
		return &presence.LeaseTold{Mark: mark, Owner: a.terms.Owner, Released: released, At: at}
	})
}

// tellStarted tells that a sweep knows whom it asks about.
func (a *app) tellStarted(t *relay.Teller, r poll.Report) {
	t.Put(relay.Now, func(mark presence.Mark) presence.Control {
		return &presence.SweepTold{Mark: mark, Sweep: r.Sweep, StartedAt: r.Started, Watched: r.Watched}
	})
}

// tellFinished tells the end of a sweep, behind the events up to then. One that ended
// the term is not told: what it has left in the ledger is not known. One in which nobody
// was answered is no watermark, though it went through the whole list.
func (a *app) tellFinished(t *relay.Teller, r poll.Report, err error) {
	if errors.Is(err, poll.ErrTermOver) {
		return
	}
	t.Put(r.Seq, func(mark presence.Mark) presence.Control {
		return &presence.SweepTold{
			Mark: mark, Sweep: r.Sweep, StartedAt: r.Started, Watched: r.Watched, FinishedAt: r.Finished, Complete: r.Complete && blind(r) == nil,
			Seen: r.Seen, Missed: r.MissedTotal(), Held: r.Held, RemovalsHeld: r.RemovalsHeld, Transitions: r.Transitions,
			Requests: r.Requests, BudgetUsed: budgetUsed(r.Requests+r.Again, a.rates.mean(r.Started, r.Finished), r.Finished.Sub(r.Started)), Seq: r.Seq,
		}
	})
	a.wake() // nothing may have changed, and the events are compared all the same
}

// budgetUsed is the share of the slots that a rate allows in a time, which is one at
// least.
func budgetUsed(requests int, rate float64, took time.Duration) float64 {
	return min(1, float64(requests)/max(1, rate*took.Seconds()))
}

// tellIncident tells what became of too many who had gone at once.
func (a *app) tellIncident(t *relay.Teller, i poll.Incident) {
	t.Put(relay.Now, func(mark presence.Mark) presence.Control {
		return &presence.IncidentTold{
			Mark: mark, Incident: int64(i.Number), BeganAt: i.Began, EndedAt: i.Ended, Outcome: outcome(i),
			Flips: i.Flips, Share: i.Share, Decided: i.Decided, Rounds: i.Rounds,
			SampleAsked: i.SampleAsked, SampleAnswered: i.SampleAnswered, SampleOffline: i.SampleOffline,
			CanariesAsked: i.CanariesAsked, CanariesAnswered: i.CanariesAnswered, CanariesOffline: i.CanariesOffline,
		}
	})
}
