package main

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/budget"
	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/poll"
	"github.com/zim-presence/poller/internal/status"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/internal/watchlist"
	"github.com/zim-presence/poller/internal/zim"
	"github.com/zim-presence/poller/presence"
)

// watched is an app's watchlist as the sweep wants it.
type watched struct {
	*watchlist.Watchlist
	app     uint32
	log     zerolog.Logger
	invalid int // as last logged
}

// Users yields the list, and logs invalid ids once, not at every sweep.
func (w *watched) Users(ctx context.Context, yield func(id []byte) error) (poll.Listed, error) {
	loaded, err := w.Watchlist.Users(ctx, w.app, yield)
	if err == nil && loaded.Invalid != w.invalid {
		w.invalid = loaded.Invalid
		for _, bad := range loaded.Examples {
			w.log.Warn().Str("user_id", bad.ID).Str("reason", bad.Reason).Int("invalid", loaded.Invalid).
				Msg("this id in the watchlist cannot be asked about")
		}
	}
	return poll.Listed{Invalid: loaded.Invalid, Long: loaded.Long}, err
}

// asker is the client as the sweep wants it.
type asker struct{ *zim.Client }

// Ask asks.
func (a asker) Ask(ctx context.Context, users iter.Seq[presence.User], answers chan<- presence.Answer) (poll.Asked, error) {
	asked, err := a.Client.Ask(ctx, users, answers)
	return poll.Asked{Requests: asked.Requests, Invented: asked.Invented, Failure: asked.Failure}, err
}

// Confirm asks again.
func (a asker) Confirm(ctx context.Context, users []presence.User, answers chan<- presence.Answer) (poll.Asked, error) {
	asked, err := a.Client.Confirm(ctx, users, answers)
	return poll.Asked{Requests: asked.Requests, Invented: asked.Invented, Failure: asked.Failure}, err
}

// awaited is the budget, with the time that is waited for it, and until when ZIM has
// asked for nobody to be asked about.
type awaited struct {
	*budget.Limiter
	metrics *status.App
	rest    func(until time.Time)
}

// Take waits for a slot.
func (b awaited) Take(ctx context.Context) (sent func(), err error) {
	defer b.metrics.AwaitSlot()()
	return b.Limiter.Take(ctx)
}

// Pause lets no slot go before until.
func (b awaited) Pause(until time.Time) {
	b.rest(until)
	b.Limiter.Pause(until)
}

// Refused lowers the rate, and lets no slot go for a while.
func (b awaited) Refused(sent time.Time, wait time.Duration) {
	b.rest(time.Now().Add(wait))
	b.Limiter.Refused(sent, wait)
}

// published is the stream as the relay wants it, with the time that acknowledgements
// take.
type published struct {
	*stream.Stream
	metrics *status.App
}

// Append publishes.
func (s published) Append(ctx context.Context, after uint64, events []presence.Event, acked func(i int)) (n int, err error) {
	began := time.Now()
	n, err = s.Stream.Append(ctx, after, events, acked)
	if err == nil && n > 0 {
		s.metrics.Published(time.Since(began))
	}
	return n, err
}

// lost is who is missing in the bucket, from the one who finds it to the sweep
// that tells them again.
type lost struct {
	mu   sync.Mutex // guards both below
	ids  []string
	asOf int64
}

func (l *lost) put(ids []string, asOf int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids, l.asOf = ids, asOf
}

func (l *lost) take() (ids []string, asOf int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids, l.ids = l.ids, nil
	return ids, l.asOf
}

// leaseholder is the lease under which the app's requests leave at the moment.
type leaseholder struct{ lease atomic.Pointer[ledger.Lease] }

// allow is asked before each request.
func (h *leaseholder) allow(ctx context.Context) error {
	lease := h.lease.Load()
	if lease == nil {
		return ledger.ErrLeaseLost
	}
	return lease.Allow(ctx)
}

// allowed is asked again when a request is about to be written.
func (h *leaseholder) allowed() bool {
	lease := h.lease.Load()
	return lease != nil && lease.Good()
}
