package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/internal/evidence"
	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/poll"
	"github.com/zim-presence/poller/internal/relay"
	"github.com/zim-presence/poller/internal/status"
	"github.com/zim-presence/poller/internal/zim"
	"github.com/zim-presence/poller/presence"
)

// recorder is the recording half under a lease, with its metrics and checks.
func (a *app) recorder(lease *ledger.Lease, memory *diff.Memory, control *relay.Teller) *poll.Recorder {
	a.foundOut()
	now := a.tuned.Load().recording
	a.metrics.SetInterval(interval(now.Schedule, time.Now()))
	return &poll.Recorder{
		Watchlist: a.list, Zim: asker{a.zim}, Ledger: lease, Memory: memory, LastSweep: lease.LastSweep(),
		Schedule: now.Schedule, Log: a.log, AllowSuddenDrop: now.AllowSuddenDrop, Leave: a.leave, Change: a.changes,
		Hold: now.Hold, StaleAfter: now.StaleAfter, Now: a.clock.Now,
		MaxOfflineShare: now.MaxOfflineShare, Patience: now.Patience,
		Hints: a.hints, Rate: a.budget.Rate, Sooner: a.metrics.Sooner,
		Hinted:    func(what poll.Hinting) { a.metrics.Callback(string(what)) },
		Again:     a.lost.take,
		Committed: a.committed,
		Listed: func(r poll.Report) {
			a.metrics.SweepStarted(r.Watched)
			a.evidence.Watched(r.Watched)
			a.checks.Set(a.check("watchlist"), dropped(r))
			a.moves(r)
			a.tellStarted(control, r)
		},
		Progress: a.moves,
		Ended: func(r poll.Report, err error) {
			a.swept(r, err)
			a.tellFinished(control, r, err)
		},
		Incident: func(i poll.Incident) { a.incident(control, i) },
		Gated: func(n int) {
			a.metrics.SetIncidentUsers(n)
			a.panel.doubts(n)
		},
		Census:  a.counted,
		Skipped: a.skipped,
		Waiting: func(n int) {
			a.metrics.SetHeldChanges(n)
			a.panel.waits(n)
		},
		Suppressed: func(s diff.Suppressed) {
			a.metrics.Suppressed(string(s.Why))
			a.evidence.Suppressed(s.Held.User.No, evidence.Suppressed{
				At: s.At, Why: string(s.Why), To: s.Held.To, Detail: s.Held.Detail, After: s.Held.After, SeenAt: s.Held.SeenAt,
			})
		},
	}
}

// skipped shows that due times went by while the newest sweep ran.
func (a *app) skipped(n int) {
	a.metrics.SweepsSkipped(n)
	a.panel.skips(n)
}

// relay is the telling half, with its metrics and checks.
func (a *app) relay(control *relay.Teller) *relay.Relay {
	a.checks.Expect(a.check("stream"), 0)
	return &relay.Relay{
		App: a.id, Ledger: a.ledger, Cursors: a.ledger, Stream: published{a.stream, a.metrics}, Woken: a.woken, Log: a.log,
		Told: func(e *presence.Event, more int64) {
			a.metrics.Told(1, *e, more)
			a.panel.told(e, more)
		},
		Behind: a.behind,
		Health: func(err error) {
			a.telling.give()
			a.checks.Set(a.check("stream"), err)
		},
		Stands: func(seq int64) {
			a.telling.give()
			control.Stands(seq)
		},
	}
}

// upkeep is what looks after the bucket.
func (a *app) upkeep() *relay.Upkeep {
	return &relay.Upkeep{Keys: a.stream, Notes: a.ledger, Users: a.ledger, Cursors: a.ledger, Lost: a.lost.put, Log: a.log}
}

func (a *app) attempted(t zim.Attempt) {
	a.asked(t)
	a.evidence.Attempted(evidence.Request{
		AskedAt: t.AskedAt, At: t.At, Lane: string(t.Lane), Result: t.Result, Code: t.Code, Status: t.Status, RequestID: t.RequestID,
		Batch: t.Batch, Observations: t.Observations, Missed: t.Missed,
	})
}

func (a *app) committed(c presence.Changes, took time.Duration) {
	a.metrics.Recorded(c, took)
	a.wake()
}

// wake has the relay look at the ledger now.
func (a *app) wake() {
	select {
	case a.woken <- struct{}{}:
	default: // it will wake anyway
	}
}

func (a *app) behind(events int64, oldest time.Time) {
	a.panel.behind(events, oldest)
	if events == 0 {
		a.metrics.SetLag(0, 0)
		return
	}
	a.metrics.SetLag(events, time.Since(oldest))
}

// counted keeps the newest census for whoever asks.
func (a *app) counted(c diff.Census) {
	a.census.Store(&c)
	a.metrics.SetCensus(status.Census{
		Online: c.Online, Offline: c.Offline, Unknown: c.Unknown, Ages: c.Ages.Users, Never: c.Ages.Never,
		Median: c.Ages.Median, P99: c.Ages.P99, Oldest: c.Ages.Oldest,
	})
}

// uncounted forgets it: another replica knows better now.
func (a *app) uncounted() {
	a.census.Store(nil)
	a.metrics.TermOver()
}

// moves shows a sweep under way.
func (a *app) moves(r poll.Report) {
	a.panel.moves(r)
	a.shown(r)
}

func (a *app) shown(r poll.Report) {
	if a.show != nil {
		a.show(r)
	}
}

// swept judges a sweep for the metrics and the checks.
func (a *app) swept(r poll.Report, err error) {
	a.metrics.SetInterval(interval(a.tuned.Load().recording.Schedule, r.Started))
	a.metrics.SweepEnded(status.Sweep{
		Watched: r.Watched, RemovalsHeld: r.RemovalsHeld, Seen: r.Seen, Invalid: r.Invalid, Long: r.Long, Missed: r.Missed, Requests: r.Requests,
		Invented: r.Invented, Elapsed: r.Finished.Sub(r.Started), Finished: r.Finished, Complete: r.Complete,
	})
	a.panel.swept(r, err)
	a.shown(r)
	var asked *zim.Error
	switch {
	case errors.As(err, &asked):
		a.answered(asked)
	case errors.Is(err, context.Canceled), errors.Is(err, ledger.ErrLeaseLost):
		// says nothing about ZIM
	case err == nil:
		a.answered(blind(r))
		a.checks.Remove(a.check("ledger"))
	}
}

// interval is how far sweeps are apart, around one that begins then: the longer of the
// two times to come, so that the last due time before a night counts the night.
func interval(s poll.Schedule, then time.Time) time.Duration {
	first := s.Next(then)
	return max(first.Sub(then), s.Next(first).Sub(first))
}

// failed says why a term has ended, until a sweep has gone well or another replica
// has the app. A lease that was lost says nothing about the ledger.
func (a *app) failed(err error) {
	if !errors.Is(err, ledger.ErrLeaseLost) && !errors.Is(err, ledger.ErrFenced) {
		a.checks.Set(a.check("ledger"), err)
	}
}

// incident keeps one for whoever asks why; when it is decided it is also counted and
// told.
func (a *app) incident(control *relay.Teller, i poll.Incident) {
	a.evidence.Incident(evidence.Incident{
		Number: i.Number, Began: i.Began, Ended: i.Ended, Released: i.Released, Flips: i.Flips, Share: i.Share,
	})
	if i.Ended.IsZero() {
		return
	}
	a.metrics.Incident(outcome(i))
	a.tellIncident(control, i)
}

// outcome is what came of an incident, as metrics and control events call it.
func outcome(i poll.Incident) string { return outcomeOf(i.Released) }

func outcomeOf(released bool) string {
	if released {
		return presence.OutcomeReleased
	}
	return presence.OutcomeDiscarded
}

// dropped returns an error when removals are held.
func dropped(r poll.Report) error {
	if r.RemovalsHeld == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d watched users are gone from the watchlist at once; they are removed if the next sweep finds the same, "+
		"or at once with watchlist.allow_sudden_drop", r.RemovalsHeld, r.Watched)
}

// seen shows how the lease looks from outside.
func (a *app) seen(lease ledger.LeaseSight, free bool) {
	state := status.LeaseStandby
	if free {
		state = status.LeaseFree
	}
	a.metrics.SeenLease(state, lease.Epoch)
}

// blind returns an error when a complete sweep saw nobody at all.
func blind(r poll.Report) error {
	switch {
	case r.Watched == 0 || r.Seen > 0:
		return nil
	case r.Failure != nil:
		return fmt.Errorf("nobody of %d was answered: %w", r.Watched, r.Failure)
	}
	return fmt.Errorf("nobody of %d was answered", r.Watched)
}
