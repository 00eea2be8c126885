package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/zim-presence/poller/internal/poll"
	"github.com/zim-presence/poller/migrations"
)

const (
	// overdueAfter is how late a sweep may be, or how long one may stand still,
	// before readiness turns red.
	overdueAfter = time.Minute
	// behindAfter is how old the oldest event may be that was not told.
	behindAfter = time.Minute
	// stuckAfter is how long a part may give no sign of life before the process
	// counts as stalled. Nothing outside holds one up as long: every statement and
	// request has a deadline of a few minutes at most, and ZIM's Retry-After is kept
	// for five.
	stuckAfter = 15 * time.Minute
)

// sign is the last sign of life of something.
type sign struct{ at atomic.Pointer[time.Time] }

func (s *sign) give() {
	now := time.Now()
	s.at.Store(&now)
}

// missing returns an error when there was none for longer than patience.
func (s *sign) missing(now time.Time, patience time.Duration) error {
	if at := s.at.Load(); at != nil && now.Sub(*at) > patience {
		return fmt.Errorf("nothing was done for %s", now.Sub(*at).Round(time.Second))
	}
	return nil
}

// watchTerm makes the checks and pulses that a term of the lease has and that nobody
// reports; dropChecks takes them back.
func (a *app) watchTerm(r *poll.Recorder) {
	a.checks.Watch(a.check("sweep"), func(now time.Time) error { return a.rest.explains(r.Overdue(now, overdueAfter), now) })
	a.checks.Watch(a.check("lag"), func(time.Time) error { return lagging(a.metrics.Lag()) })
	a.telling.give()
	a.checks.Pulse(a.check("sweep"), func(now time.Time) error { return r.Overdue(now, stuckAfter) })
	a.checks.Pulse(a.check("stream"), func(now time.Time) error { return a.telling.missing(now, stuckAfter) })
}

// lagging returns an error when events are told late.
func lagging(events int64, oldest time.Duration) error {
	if events == 0 || oldest <= behindAfter {
		return nil
	}
	return fmt.Errorf("%s not told yet, the oldest for %s", plural(events, "event"), oldest.Round(time.Second))
}

// heldBy notes who has the lease, for whoever looks at its check.
func (a *app) heldBy(owner string, free bool) {
	note := "standby: held by " + owner
	switch {
	case a.held():
		note = "held by this process"
	case free || owner == "":
		note = "held by nobody"
	}
	a.checks.Note(a.check("lease"), note)
}

// record sweeps until ctx ends or the term is over, and looks meanwhile whether ZIM is
// within reach.
func (a *app) record(ctx context.Context, r *poll.Recorder) error {
	looking, stop := context.WithCancel(ctx)
	var looked sync.WaitGroup
	defer looked.Wait()
	defer stop()
	looked.Go(func() { a.lookForZIM(looking) })
	return r.Run(ctx)
}

// lookForZIM looks once a second until ctx ends.
func (a *app) lookForZIM(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := a.zim.Reach(ctx); ctx.Err() == nil {
			a.reached(err)
		}
	}
}

// The schema that is asked for with each probe of the database: the newest that was
// brought up.
const schemaVersion = `select coalesce(max(version_id), 0) from poller_migrations where is_applied`

// probe asks the database whether it is there, and once the schema was up whether it
// still is: a database that was restored may have an older one, or none.
func (p *parts) probe(ctx context.Context) {
	var version int64
	var err error
	if up := p.schemaUp.Load(); up {
		err = p.db.QueryRow(ctx, schemaVersion).Scan(&version)
		var schema error
		_, unconnected := errors.AsType[*pgconn.ConnectError](err) // a wrong password is no matter of the schema
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok && !unconnected && !passing(err) {
			err, schema = nil, fmt.Errorf("the schema cannot be seen: %w", refused)
		} else if err == nil && version < migrations.Newest() {
			schema = errSchema
		}
		if err == nil && ctx.Err() == nil {
			p.checks.Set("schema", schema)
		}
	} else {
		err = p.db.Ping(ctx)
	}
	p.checks.Set("postgres", err)
}
