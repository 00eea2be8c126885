package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/budget"
	"github.com/zim-presence/poller/internal/clock"
	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/internal/evidence"
	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/poll"
	"github.com/zim-presence/poller/internal/status"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/internal/watchlist"
	"github.com/zim-presence/poller/internal/zim"
)

// app is the rooms of one ZIM app, wired. They outlive the terms of its lease.
type app struct {
	id       uint32
	terms    ledger.Terms // but for the window, which is the budget's
	tuned    atomic.Pointer[tuning]
	rates    rates
	list     *watched
	zim      *zim.Client
	clock    *clock.Clock
	budget   *budget.Limiter
	rest     rest
	ledger   *ledger.Ledger
	stream   *stream.Stream
	holder   leaseholder
	woken    chan struct{}      // after a commit
	take     wish               // that the lease be gone for
	leave    wish               // that the lease be given up between two sweeps
	changes  chan poll.Settings // for the term that runs; what it has not heard yet
	lost     lost               // whom the bucket lacks
	hints    *poll.Hints        // nil where no callbacks are taken
	bus      *nats.Conn
	own      *database // its connections, where it has any for itself; nil else
	verdict  verdict
	telling  sign // of the relay
	metrics  *status.App
	checks   *status.Checks
	evidence *evidence.Book
	census   atomic.Pointer[diff.Census] // the newest of this term; nil between terms
	panel    panel
	spent    spending
	log      zerolog.Logger

	// show, when not nil, hears of sweeps as they go, for a terminal.
	show func(poll.Report)
}

// newApp wires one app on an open database and a NATS connection, for the replica
// me.
func newApp(cfg config, me string, a appConfig, db *database, nc *nats.Conn, metrics *status.Metrics, checks *status.Checks, log zerolog.Logger) (*app, error) {
	tuned, err := newTuning(cfg, a)
	if err != nil {
		return nil, err
	}
	it := &app{
		id: a.AppID, woken: make(chan struct{}, 1), take: newWish(), leave: newWish(), changes: make(chan poll.Settings, 1),
		metrics: metrics.App(a.AppID), checks: checks, log: log.With().Uint32("app", a.AppID).Logger(),
	}
	if it.bus = nc; cfg.Callback.Listen != "" {
		it.hints = poll.NewHints()
	}
	it.evidence = evidence.NewBook()
	it.budget = budget.New(a.Rate, it.holder.allow)
	it.panel.configured(a.Schedule, a.Rate)
	it.clock = clock.New(nil)
	it.tuned.Store(tuned)
	it.rates.set(it.clock.Now(), a.Rate)
	it.metrics.SetRate(it.budget.Rate(), it.budget.Limit())
	it.terms = ledger.Terms{Owner: me, TTL: cfg.Lease.TTL}
	it.list = &watched{Watchlist: watchlist.New(db.Pool), app: a.AppID, log: it.log}
	it.ledger = ledger.New(db.Pool, a.AppID, log)
	it.zim, err = zim.New(zim.Config{
		BaseURL: a.BaseURL, AppID: a.AppID, Secret: string(a.ServerSecret), Rate: a.Rate, BatchSize: a.BatchSize,
		Timeout: a.Timeout, Budget: awaited{it.budget, it.metrics, func(until time.Time) { it.rest.ask(until, it.log) }}, Allowed: it.holder.allowed, Now: it.clock.Now,
		Attempted: it.attempted, Retried: it.metrics.Retried, Outage: it.outage, Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("app %d: %w", a.AppID, err)
	}
	it.stream, err = stream.New(nc, stream.Config{AppID: a.AppID, MaxAge: cfg.Stream.MaxAge, Replicas: cfg.NATS.Replicas}, log)
	if err != nil {
		return nil, fmt.Errorf("app %d: %w", a.AppID, err)
	}
	return it, nil
}

// check is the name of one of the app's readiness checks.
func (a *app) check(subject string) string {
	return subject + "/" + strconv.FormatUint(uint64(a.id), 10)
}

// close closes the app's connections to ZIM, and those to the database that are its own.
func (a *app) close() {
	a.zim.Close()
	if a.own != nil {
		_ = a.own.Close() // no server is embedded there
	}
}

// owner names this process in its leases: host, pid, and what no other run has.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	var run [3]byte
	_, _ = rand.Read(run[:]) // never fails, by its contract
	return fmt.Sprintf("%s:%d:%s", host, os.Getpid(), hex.EncodeToString(run[:]))
}

// hold takes the lease whenever it is to, and runs terms of it until ctx ends.
func (a *app) hold(ctx context.Context) {
	pause := newPause()
	a.checks.Expect(a.check("lease"), 0)
	for ctx.Err() == nil {
		a.metrics.SetLease(false, 0)
		a.metrics.SetBreaker(false)
		lease, err := a.win(ctx)
		if err != nil {
			return // ctx has ended
		}
		a.checks.Set(a.check("lease"), nil)
		a.checks.Note(a.check("lease"), "held by this process")
		won := time.Now()
		a.leave.takeBack() // what was wished of an earlier term
		err = a.term(ctx, lease, a.record)
		if ctx.Err() != nil {
			a.log.Info().AnErr("cause", err).Msg("stopped")
			return
		}
		if errors.Is(err, poll.ErrGivenUp) {
			a.log.Info().AnErr("cause", err).Msg("the lease was given up for another replica's share")
			continue
		}
		a.log.Warn().Err(err).Msg("the term has ended; going for the lease again")
		a.failed(err)
		if time.Since(won) > longTerm {
			pause = newPause()
		}
		pause.wait(ctx)
	}
}

// win tries for the lease each time that it is to, until it has it or ctx ends.
func (a *app) win(ctx context.Context) (*ledger.Lease, error) {
	said := ""
	for {
		select {
		case <-a.take:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		lease, err := a.acquire(ctx)
		if err == nil {
			return lease, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		a.waiting(err)
		why, level := err.Error(), zerolog.WarnLevel
		if held := (*ledger.HeldError)(nil); errors.As(err, &held) {
			why, level = held.Owner, zerolog.InfoLevel // as it should be
		}
		if why != said {
			a.log.WithLevel(level).Err(err).Msg("the lease could not be taken")
			said = why
		}
	}
}

// acquire tries for the lease once.
func (a *app) acquire(ctx context.Context) (*ledger.Lease, error) {
	terms := a.terms
	terms.Window = a.budget.Window()
	return a.ledger.TryAcquire(ctx, terms)
}

// held tells whether a term is running.
func (a *app) held() bool { return a.holder.lease.Load() != nil }

// longTerm is how long a term lasts that has gone well: the next try after it is
// a first one.
const longTerm = time.Minute

// waiting judges what stands between the app and its lease: another holder is
// no fault.
func (a *app) waiting(err error) {
	var held *ledger.HeldError
	if errors.As(err, &held) {
		err = nil
	}
	a.checks.Set(a.check("lease"), err)
	if err == nil && !a.held() {
		a.checks.Remove(a.check("ledger")) // it is another's business
	}
}
