package main

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/plan"
	"github.com/zim-presence/poller/internal/watchlist"
)

// planCmd is poller plan: what a watchlist costs.
type planCmd struct {
	App            uint32        `placeholder:"ID" help:"App whose settings count; needed when several are configured."`
	Users          *headcount    `placeholder:"N" help:"Reckon with so many users, and look into no database. Those on the watchlist, if not given."`
	ChangesPerHour *float64      `placeholder:"N" help:"How many users come online or go offline in an hour, of all. As in the last day, if not given. Only what a hold costs depends on it."`
	Latency        time.Duration `default:"100ms" placeholder:"DURATION" help:"How long ZIM takes to answer a request: ${default}, if not given."`
	Output         string        `name:"output" short:"o" enum:"text,json" default:"text" help:"How to print: text or json."`
}

// Help is shown below the flags' by --help.
func (planCmd) Help() string {
	return `Reckons, from the number of users, the rate and the schedule: how long a sweep takes, how late a change is seen on
average and at the most, how much of the budget that is, what the configured holds cost, and what would fit the schedule:
how many users, at which rate, every how much. A plot shows the delay for 1,000 to 10,000,000 users.

With --users it needs neither a database nor an app: what is not configured has its default. It asks ZIM nothing.`
}

// Run reckons and prints.
func (c *planCmd) Run(ctx context.Context, g *globals) error {
	if err := c.check(); err != nil {
		return err
	}
	need := needDatabase
	if c.Users != nil {
		need = 0
	}
	cfg, err := g.load(need)
	if err != nil {
		return err
	}
	app, err := c.settings(cfg)
	if err != nil {
		return err
	}
	if c.Latency > app.Timeout {
		return usagef("--latency %s: no request would be answered within the %s of zim.timeout", c.Latency, app.Timeout)
	}
	gaps, err := dueGaps(app.Schedule, time.Now())
	if err != nil {
		return err
	}
	r := &planned{cfg: cfg, app: app, want: plan.Want{
		Rate: app.Rate, Batch: app.BatchSize, Latency: c.Latency, Timeout: app.Timeout, Gaps: gaps,
		HoldOffline: cfg.Hold.Offline, HoldOnline: cfg.Hold.Online,
	}}
	if c.Users != nil {
		r.want.Users = int(*c.Users)
	} else if err := r.read(ctx, g); err != nil {
		return err
	}
	if c.ChangesPerHour != nil {
		r.want.ChangesPerHour, r.changing = *c.ChangesPerHour, true
		r.measured = 0
	}
	r.reckon()
	if c.Output == "json" {
		return writeJSON(g.Stdout, r.report())
	}
	return r.print(g.Stdout, environment(g.Environ))
}

func (c *planCmd) check() error {
	switch {
	case c.ChangesPerHour != nil && !(*c.ChangesPerHour >= 0 && *c.ChangesPerHour <= 1e12):
		return usagef("--changes-per-hour %g is no number of changes", *c.ChangesPerHour)
	case c.Latency < 0 || c.Latency > time.Minute:
		return usagef("--latency %s is not from 0s to 1m", c.Latency)
	}
	return nil
}

// settings are those of the app, or with none configured those that an app would have.
func (c *planCmd) settings(cfg config) (appConfig, error) {
	if len(cfg.Apps) > 0 || c.App == 0 && c.Users == nil {
		return cfg.app(c.App)
	}
	return appConfig{
		AppID: c.App, Schedule: cfg.Schedule, Rate: cfg.ZIM.Rate, BatchSize: cfg.ZIM.BatchSize, Timeout: cfg.ZIM.Timeout,
	}, nil
}

// planned is a plan, with what it was reckoned from.
type planned struct {
	cfg  config
	app  appConfig
	want plan.Want
	ours bool // the users are those of the watchlist

	// Of the database; zero with --users.
	invalid int
	pace    ledger.Pace

	changing bool          // how much changes is known
	measured time.Duration // in this time; 0 where somebody said it

	plan.Plan
	fitUsers, fitRate int
	fitEvery          time.Duration
	curve             []plan.Point
}

// read brings the size of the watchlist, and how much has changed in the last day.
func (r *planned) read(ctx context.Context, g *globals) (err error) {
	db, err := openCurrent(ctx, r.cfg, zerolog.Nop())
	if err != nil {
		return err
	}
	defer closing(&err, db.Close)
	defer g.attend(&err, db.vacant)()
	bytes := 0
	loaded, err := watchlist.New(db.Pool).Users(ctx, r.app.AppID, func(id []byte) error {
		bytes += plan.IDBytes(id)
		return nil
	})
	if err != nil {
		return err
	}
	if loaded.Users == 0 {
		return errors.New("nobody is on the watchlist: --users reckons with a number of your choice")
	}
	r.ours = true
	r.want.Users, r.want.IDBytes, r.invalid = loaded.Users, float64(bytes)/float64(loaded.Users), loaded.Invalid
	r.pace, err = ledger.New(db.Pool, r.app.AppID, zerolog.Nop()).Past().Pace(ctx, day)
	if r.pace.For >= leastPace {
		r.want.ChangesPerHour, r.changing = float64(r.pace.Changes)/r.pace.For.Hours(), true
		r.measured = r.pace.For
	}
	return err
}

// leastPace is how long an app must have been watched for its changes to be a measure.
const leastPace = 10 * time.Minute

func (r *planned) reckon() {
	r.Plan = plan.Reckon(r.want)
	r.fitUsers, r.fitRate, r.fitEvery = plan.FitUsers(r.want), plan.FitRate(r.want), plan.FitEvery(r.want)
	r.curve = plan.Curve(r.want, planSizes())
}
