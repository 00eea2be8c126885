package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/plan"
	"github.com/zim-presence/poller/internal/watchlist"
)

// crowd is what the watchlist of an app has.
type crowd struct {
	users int
	one   string // of them; empty for none
}

// tryWatchlist reads the list as a sweep does, and reckons whether sweeps fit the schedule.
func (d *doctor) tryWatchlist(ctx context.Context, a appConfig, c *chart) {
	pool := d.database.pool()
	if pool == nil {
		c.allUntried(d.database.why, "watchlist", "plan")
		return
	}
	ctx, cancel := d.within(ctx)
	defer cancel()
	var some crowd
	bytes := 0
	loaded, err := watchlist.New(pool).Users(ctx, a.AppID, func(id []byte) error {
		if bytes += plan.IDBytes(id); some.one == "" {
			some.one = string(id)
		}
		return nil
	})
	if err != nil {
		c.fault("watchlist", "look whether somebody holds a lock on watched_users; a list of millions wants a longer --timeout", "%s", inShort(errOf(ctx, err)))
		c.untried("plan", "the watchlist was not read")
		return
	}
	some.users = loaded.Users
	d.mu.Lock()
	d.users[a.AppID] = some
	d.mu.Unlock()
	judgeWatchlist(c, loaded)
	if loaded.Users == 0 {
		c.untried("plan", "nobody is watched")
		return
	}
	d.tryPlan(c, a, plan.Want{Users: loaded.Users, IDBytes: float64(bytes) / float64(loaded.Users)})
}

func judgeWatchlist(c *chart, l watchlist.Loaded) {
	text := usersText(l.Users)
	if l.Long > 0 {
		text += fmt.Sprintf(", %s longer than the 32 bytes that ZIM's other interfaces take", plural(int64(l.Long), "id"))
	}
	switch {
	case l.Invalid > 0:
		example := l.Examples[0]
		c.warn("watchlist", fmt.Sprintf("poller watch list --app %d --invalid; correct them, or take them off", c.app),
			"%s; ZIM can never be asked about %s, such as %s: %s", text, plural(int64(l.Invalid), "more id"), shown(example.ID), example.Reason)
	case l.Users == 0:
		c.warn("watchlist", fmt.Sprintf("poller watch add --app %d, poller watch import, or insert rows into watched_users", c.app), "nobody is watched")
	default:
		c.ok("watchlist", "%s", text)
	}
}

// guessedLatency is how long ZIM takes to answer, as poller plan has it.
const guessedLatency = 100 * time.Millisecond

func (d *doctor) tryPlan(c *chart, a appConfig, want plan.Want) {
	gaps, err := dueGaps(a.Schedule, time.Now())
	if err != nil {
		c.untried("plan", "%v", err)
		return
	}
	want.Rate, want.Batch, want.Latency, want.Timeout, want.Gaps = a.Rate, a.BatchSize, guessedLatency, a.Timeout, gaps
	want.HoldOffline, want.HoldOnline = d.cfg.Hold.Offline, d.cfg.Hold.Online
	reckoned := plan.Reckon(want)
	if !reckoned.Fits {
		var ways []string
		if every := plan.FitEvery(want); every > 0 {
			ways = append(ways, "schedule: @every "+formatDuration(every))
		}
		if rate := plan.FitRate(want); rate > 0 {
			ways = append(ways, fmt.Sprintf("zim.rate: %d", rate))
		}
		c.warn("plan", strings.Join(append(ways, "see poller plan"), ", or "), "a sweep takes %s, and does not fit %s: due times will be skipped", shortly(reckoned.Sweep), a.Schedule)
		return
	}
	c.ok("plan", "a sweep takes %s, and fits %s", shortly(reckoned.Sweep), a.Schedule)
}

// tryPolling looks who polls the app, and what came of it; where nobody does, it asks ZIM once.
func (d *doctor) tryPolling(ctx context.Context, a appConfig, c *chart) {
	stands, known := d.tryLease(ctx, a, c)
	d.tryQuery(ctx, a, c, stands, known)
}

// tryLease looks at the lease and at the newest sweep. known is false where that could not be seen.
func (d *doctor) tryLease(ctx context.Context, a appConfig, c *chart) (s ledger.Standing, known bool) {
	pool := d.database.pool()
	if pool == nil {
		c.allUntried(d.database.why, "lease", "sweep")
		return s, false
	}
	ctx, cancel := d.within(ctx)
	defer cancel()
	s, err := ledger.New(pool, a.AppID, zerolog.Nop()).Standing(ctx)
	if err != nil {
		c.fault("lease", "see the checks of Postgres above", "%s", inShort(errOf(ctx, err)))
		c.untried("sweep", "the app's row could not be read")
		return s, false
	}
	judgeLease(c, s)
	judgeSweep(c, a, s)
	return s, true
}

func judgeLease(c *chart, s ledger.Standing) {
	living := "no daemon of this app lives"
	if len(s.Replicas) > 0 {
		living = "daemons of this app that live: " + strings.Join(s.Replicas, ", ")
	}
	switch {
	case s.Held() && !slices.Contains(s.Replicas, s.Owner):
		c.ok("lease", "held by %s, which is no daemon: poller sweep, doctor or adopt; %s", s.Owner, living)
	case s.Held():
		c.ok("lease", "held by %s; %s", s.Owner, living)
	case s.Left:
		c.warn("lease", "start a daemon", "%s held it, and has died; %s", s.Owner, living)
	case len(s.Replicas) > 0:
		c.warn("lease", "wait a second; if it stays so, see the daemon's check lease/<app>", "nobody holds it; %s", living)
	default:
		c.ok("lease", "nobody holds it; %s", living)
	}
}

// overdueSweep is how late a sweep may be before it is said.
const overdueSweep = time.Minute

// leastCoverage is the share of users whom a sweep reaches where nothing is wrong, as in the alert PollerCoverageLow.
const leastCoverage = 0.99

func judgeSweep(c *chart, a appConfig, s ledger.Standing) {
	held := s.Held()
	if s.Sweep == 0 {
		if held {
			c.warn("sweep", "wait for the first; if there is none, see the daemon's log and its check sweep/<app>", "no complete sweep yet")
		} else {
			c.ok("sweep", "none yet")
		}
		return
	}
	text := fmt.Sprintf("sweep %d ended %s ago, took %s, and reached %s of %s", s.Sweep, shortly(s.Ago), shortly(s.Took), thousands(s.Seen), usersText(s.Watched))
	longest := time.Duration(0)
	if gaps, err := dueGaps(a.Schedule, time.Now()); err == nil {
		for _, gap := range gaps {
			longest = max(longest, gap)
		}
	}
	switch {
	case held && s.Ago > longest+2*s.Took+overdueSweep:
		c.warn("sweep", "see the daemon's log, and its checks sweep/<app> and zim/<app>", "%s; the next is overdue", text)
	case s.Watched > 0 && s.Seen == 0:
		c.warn("sweep", "see the query below, and the daemon's check zim/<app>", "%s", text)
	case held && float64(s.Seen) < leastCoverage*float64(s.Watched):
		c.warn("sweep", "poller_missed_users_total says why, by reason; docs/operations.md says under PollerCoverageLow what each wants", "%s", text)
	default:
		c.ok("sweep", "%s", text)
	}
}
