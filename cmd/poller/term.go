package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/poll"
	"github.com/zim-presence/poller/internal/relay"
)

// The last drain of a term is bounded: short when the app is given to another
// replica, which drains first, and nobody asks about it meanwhile.
const (
	drainTimeout = 5 * time.Second
	giveTimeout  = time.Second
)

// term runs one term of the lease: load the state, tell what the ledger has,
// let work record; then stop in the order in which nothing is left half done.
//
//	work ends ─→ relay stops ─→ last drain, if the lease is still ours ─→ last words ─→ release
//
// work's context ends with ctx or with the lease. The error is that of the load,
// or those of work and of the last drain.
func (a *app) term(ctx context.Context, lease *ledger.Lease, work func(context.Context, *poll.Recorder) error) (err error) {
	a.panel.begin(time.Now())
	a.holder.lease.Store(lease)
	defer func() {
		a.holder.lease.Store(nil)
		a.panel.over(a.id)
		if released := lease.Release(context.WithoutCancel(ctx), a.budget.FreeAt()); released != nil {
			a.log.Warn().Err(released).Msg("the lease was not released; it expires by itself")
		}
	}()
	held, free := lease.While(ctx)
	defer free()
	a.budget.Pause(lease.NotBefore())
	a.rest.inherit(lease.NotBefore(), a.budget.Window(), a.log)
	a.metrics.SetLease(true, lease.Epoch())
	memory, err := a.load(held, lease)
	if err != nil {
		return err
	}
	telling, stopTelling := lease.While(context.WithoutCancel(ctx))
	defer stopTelling()
	control := a.teller(lease)
	a.tellLease(control, false)
	r := a.relay(control)
	var relayed sync.WaitGroup
	relayCtx, stopRelay := context.WithCancel(telling)
	relayed.Go(func() { r.Run(relayCtx) })
	relayed.Go(func() { a.upkeep().Run(relayCtx) })
	relayed.Go(func() { control.Run(relayCtx) })

	recorder := a.recorder(lease, memory, control)
	a.panel.sweeps(recorder.Due)
	a.watchTerm(recorder)
	defer a.dropChecks()
	defer a.hearHints()()
	err = work(held, recorder)
	a.evidence.TermOver()

	stopRelay()
	relayed.Wait()
	if errors.Is(err, poll.ErrTermOver) || errors.Is(err, ledger.ErrLeaseLost) {
		return err // another term follows, and drains first
	}
	patience := drainTimeout
	if errors.Is(err, poll.ErrGivenUp) {
		patience = giveTimeout
	}
	if drained := a.lastDrain(telling, r, patience); drained != nil {
		err = errors.Join(err, drained)
	}
	a.tellLease(control, true)
	control.End(telling)
	return err
}

// dropChecks takes back what only the holder of the lease can judge.
func (a *app) dropChecks() {
	a.metrics.SetLag(0, 0)
	a.uncounted()
	for _, subject := range []string{"sweep", "stream", "lag", "zim", "watchlist"} {
		a.checks.Remove(a.check(subject))
	}
}

// load brings the state into memory. The partitions are seen to on the way, since
// commits are about to come. The one of today is most often there; a commit that
// misses it makes it.
func (a *app) load(ctx context.Context, lease *ledger.Lease) (*diff.Memory, error) {
	if err := a.ledger.EnsurePartitions(ctx); err != nil && ctx.Err() == nil {
		a.log.Warn().Err(err).Msg("partitions were not made; tried again in an hour, and when one is missing")
	}
	memory := diff.New(lease.LastSeq())
	err := lease.Load(ctx, func(u ledger.Loaded) error {
		memory.Add(u.State, u.Answered) // a change that is held knows better
		if u.Held != nil {
			memory.AddHeld(*u.Held)
		}
		return nil
	})
	return memory, err
}

// lastDrain tells what is left, for as long as that is worth waiting for.
func (a *app) lastDrain(ctx context.Context, r *relay.Relay, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := r.Drain(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("not everything has been told yet; the next run goes on there: %w", err)
		}
	}
}
