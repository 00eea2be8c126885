package main

import (
	"context"
	"errors"

	"github.com/zim-presence/poller/internal/ledger"
)

// pruneCmd is poller prune: what the daemon does every hour, by hand.
type pruneCmd struct {
	DryRun bool   `help:"Only say what would be dropped, and what is kept and why."`
	Output string `name:"output" short:"o" enum:"text,json" default:"text" help:"How to print: text or json."`
}

// Run drops what is past its age, of all apps in the database. It may run beside daemons. What is still needed is kept,
// which is no error; a lock that is not to be had is one.
func (c *pruneCmd) Run(ctx context.Context, g *globals) (err error) {
	cfg, err := g.load(needDatabase)
	if err != nil {
		return err
	}
	log := newQuietLogger(cfg.Log, g.Stderr)
	db, err := openCurrent(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer closing(&err, db.Close)
	defer g.attend(&err, db.vacant)()
	done, err := ledger.New(db.Pool, 0, log).Prune(ctx, cfg.Retention.ages(), c.DryRun)
	return errors.Join(c.print(g, newPruneReport(cfg.Retention, done, c.DryRun)), err)
}

// ages are the settings as the ledger takes them.
func (r retentionConfig) ages() ledger.Retention {
	return ledger.Retention{Transitions: r.Transitions, EverySweep: r.EverySweep, Hourly: r.Hourly, Snapshots: r.Snapshots}
}
