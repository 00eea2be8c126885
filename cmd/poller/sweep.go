package main

import (
	"context"
	"fmt"

	"github.com/zim-presence/poller/internal/poll"
)

// sweepCmd is poller sweep: one sweep now.
type sweepCmd struct {
	App     uint32 `placeholder:"ID" help:"App to ask about; needed when several are configured."`
	Migrate bool   `negatable:"" default:"true" help:"Bring the schema up first."`
}

// Run sweeps once, tells what changed, and says what it saw. It is refused while
// another process holds the lease of the app. Asked to stop, it tells what it has
// seen so far.
func (c *sweepCmd) Run(ctx context.Context, g *globals) (err error) {
	cfg, err := g.load(needAll)
	if err != nil {
		return err
	}
	one, err := cfg.app(c.App)
	if err != nil {
		return err
	}
	cfg.Apps = []appConfig{one}
	line := newSweepLine(g.Stderr)
	p, err := open(ctx, cfg, newLogger(cfg.Log, line.aside()))
	if err != nil {
		return err
	}
	defer closing(&err, p.close)
	defer g.attend(&err, p.db.vacant)()
	defer g.attend(&err, p.bus.vacant)()
	if err := p.db.Ping(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if err := p.schema(ctx, c.Migrate); err != nil {
		return err
	}
	a := p.apps.all()[0]
	lease, err := a.acquire(ctx)
	if err != nil {
		return err
	}
	a.show = line.tell
	var report poll.Report
	err = a.term(ctx, lease, func(ctx context.Context, r *poll.Recorder) error {
		report, err = r.Sweep(ctx)
		return err
	})
	line.end()
	if err != nil {
		return asked(ctx, err)
	}
	if _, err := fmt.Fprintf(g.Stdout, "sweep %d: watched %d, seen %d, missed %d, transitions %d, requests %d, seq %d\n",
		report.Sweep, report.Watched, report.Seen, report.MissedTotal(), report.Transitions, report.Requests, report.Seq); err != nil {
		return err
	}
	if report.RemovalsHeld > 0 {
		if _, err := fmt.Fprintf(g.Stdout, "held: %d of %d watched users are gone from the watchlist at once, and were not removed; if that is meant, "+
			"set watchlist.allow_sudden_drop (POLLER_WATCHLIST_ALLOW_SUDDEN_DROP=true) for one sweep\n", report.RemovalsHeld, report.Watched); err != nil {
			return err
		}
	}
	return blind(report)
}
