package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/budget"
	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/relay"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/presence"
)

// adoptCmd is poller adopt: the mend of a database that was restored to a state older than the stream.
type adoptCmd struct {
	App            uint32 `placeholder:"ID" help:"App to mend; needed when several are configured."`
	AcceptGap      bool   `help:"Go on where events that were told are in neither the stream nor the bucket any more."`
	AcceptRemovals bool   `help:"Go on where half of the users or more are not on the watchlist, and so will be told as removed."`
	DryRun         bool   `help:"Only say what would be done."`
	Output         string `name:"output" short:"o" enum:"text,json" default:"text" help:"How to print: text or json."`
}

// Run brings the ledger to what was told. It may run beside daemons: it takes the lease from whoever has it, and the
// daemon waits, takes it again, and goes on. Nothing to adopt is no error, and changes nothing.
func (c *adoptCmd) Run(ctx context.Context, g *globals) (err error) {
	cfg, err := g.load(needDatabase | needNATS | needApps)
	if err != nil {
		return err
	}
	one, err := cfg.app(c.App)
	if err != nil {
		return err
	}
	log := newQuietLogger(cfg.Log, g.Stderr)
	open := openDatabase
	if c.DryRun {
		open = openCurrent
	}
	db, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer closing(&err, db.Close)
	defer g.attend(&err, db.vacant)()
	if err := db.reach(ctx); err != nil {
		return err
	}
	nats, err := openNATS(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer closing(&err, nats.Close)
	defer g.attend(&err, nats.vacant)()
	it, err := newAdopter(cfg, one, db, nats, log)
	if err != nil {
		return err
	}
	it.acceptGap, it.acceptRemovals = c.AcceptGap, c.AcceptRemovals
	report, err := it.run(ctx, c.DryRun)
	return errors.Join(c.print(g, report), err)
}

// adopter is what an adoption needs.
type adopter struct {
	id     uint32
	ledger *ledger.Ledger
	stream *stream.Stream
	terms  ledger.Terms

	acceptGap, acceptRemovals bool
}

func newAdopter(cfg config, a appConfig, db *database, nats *bus, log zerolog.Logger) (*adopter, error) {
	it := &adopter{id: a.AppID, ledger: ledger.New(db.Pool, a.AppID, log)}
	// It sends no request; the window is that of the daemon that it takes the lease from.
	it.terms = ledger.Terms{Owner: "poller adopt on " + owner(), TTL: cfg.Lease.TTL, Window: budget.New(a.Rate, nil).Window()}
	var err error
	it.stream, err = stream.New(nats.Conn, stream.Config{AppID: a.AppID, MaxAge: cfg.Stream.MaxAge, Replicas: cfg.NATS.Replicas}, log)
	return it, err
}

// run looks first, so that it takes the lease only for something that can be done.
func (a *adopter) run(ctx context.Context, dry bool) (*adoptReport, error) {
	if err := a.ledger.MayAdopt(ctx); err != nil {
		return nil, err
	}
	if !dry {
		if _, err := a.stream.Ensure(ctx); err != nil {
			return nil, err
		}
	}
	told := &ledger.Removals{}
	split, err := a.survey(ctx, func(events []presence.Event) error { told.Add(events); return nil })
	var gap *relay.GapError
	if err != nil && !errors.As(err, &gap) {
		return nil, err
	}
	report := newAdoptReport(a.id, split, dry)
	if split.Why == nil {
		return report, nil
	}
	if report.Dropped, err = a.ledger.Behind(ctx, split.Fork); err != nil {
		return nil, err
	}
	if report.Known, report.Unlisted, err = a.ledger.Removals(ctx, split.Fork, told); err != nil {
		return nil, err
	}
	if gap != nil {
		return report, gap
	}
	if dry {
		return report, nil
	}
	if report.mostRemoved() && !a.acceptRemovals {
		return report, fmt.Errorf("app %d: %d of %d users who were told are not on the watchlist: fill watched_users first; "+
			"--accept-removals goes on, and the sweeps tell them as removed", a.id, report.Unlisted, report.Known)
	}
	done, err := a.adopt(ctx)
	if done != nil {
		done.Known, done.Unlisted = report.Known, report.Unlisted
	}
	return done, err
}

func (a *adopter) survey(ctx context.Context, found func([]presence.Event) error) (relay.Split, error) {
	s := relay.Survey{App: a.id, Ledger: a.ledger, Rows: a.ledger, Cursors: a.ledger, Stream: a.stream, Archive: a.stream, Found: found, AcceptGap: a.acceptGap}
	return s.Run(ctx)
}

// adopt does it, under the lease. The relay of the holder before may live until it notices. It cannot spoil anything: it
// publishes rows of a ledger that agreed with the end of the stream, and behind that end alone. What it adds before the
// survey has ended is seen by it; what it added later would contradict the ledger again, halt the telling, and be adopted
// the next time. Behind the adoption it finds nothing to tell. A cursor that it saves late goes behind the stream's end.
func (a *adopter) adopt(ctx context.Context) (_ *adoptReport, err error) {
	lease, err := a.ledger.Seize(ctx, a.terms)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lease.Release(context.WithoutCancel(ctx), time.Time{})) }()
	held, free := lease.While(ctx)
	defer free()
	adoption, err := lease.Adopt(held)
	if err != nil {
		return nil, err
	}
	defer adoption.Close()
	split, err := a.survey(held, func(events []presence.Event) error { return adoption.Stage(held, events) })
	if err != nil || split.Why == nil {
		return newAdoptReport(a.id, split, false), err
	}
	done, err := adoption.Finish(held, split.Fork, split.Told)
	if err != nil {
		return nil, err
	}
	report := newAdoptReport(a.id, split, false)
	report.Adopted, report.Log = true, done.Log
	report.Dropped, report.Imported, report.States = done.Dropped, done.Imported, done.States
	report.NewUsers, report.Snapshots, report.Watched = done.NewUsers, done.Snapshots, done.Watched
	return report, nil
}
