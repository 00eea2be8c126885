package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/callback"
	"github.com/zim-presence/poller/internal/status"
)

// runCmd is poller run: the daemon.
type runCmd struct {
	Migrate bool `negatable:"" default:"true" help:"Bring the schema up first; --no-migrate when somebody else does."`
}

// Run polls until ctx ends. A hangup has it read its configuration again.
func (c *runCmd) Run(ctx context.Context, g *globals) error {
	if g.Hangups == nil {
		hangups := make(chan os.Signal, 1)
		signal.Notify(hangups, syscall.SIGHUP)
		defer signal.Stop(hangups)
		g.Hangups = hangups
	}
	cfg, err := g.load(needAll)
	if err != nil {
		return err
	}
	log := newLiveLog(cfg.Log, g.Stderr)
	again := reloading{wanted: g.Hangups, log: log, read: func() (config, error) { return g.load(needAll) }}
	return daemon(ctx, cfg, log.Logger, c.Migrate, nil, again)
}

// parts are the whole program, opened.
type parts struct {
	cfg     config                 // as it was at the start
	cfgNow  atomic.Pointer[config] // in force
	me      string                 // among the replicas
	db      *database
	bus     *bus
	metrics *status.Metrics
	checks  *status.Checks
	log     zerolog.Logger
	apps    crew

	callbacks *callback.Receiver
	lookout   *lookout

	schemaUp atomic.Bool // the schema has been seen to be this program's, or newer
	systemd  *systemd
}

// open opens the database and NATS and wires every app. What is embedded is
// running when it returns; what is not need not answer yet.
func open(ctx context.Context, cfg config, log zerolog.Logger) (_ *parts, err error) {
	p := &parts{cfg: cfg, me: owner(), metrics: status.NewMetrics(versionText()), checks: status.NewChecks(), lookout: newLookout(), log: log}
	p.cfgNow.Store(&cfg)
	p.checks.MendBy(mendOf)
	p.systemd = newSystemd(p.apps.polled, p.checks, log)
	p.metrics.Show(p.checks)
	defer func() {
		if err != nil {
			_ = p.close() // the first error says what is wrong
		}
	}()
	if p.db, err = openDatabase(ctx, cfg, log); err != nil {
		return nil, err
	}
	if p.bus, err = openNATS(ctx, cfg, log); err != nil {
		return nil, err
	}
	p.callbacks = p.newReceiver()
	for _, a := range cfg.Apps {
		it, err := p.wire(cfg, a, p.db)
		if err != nil {
			return nil, err
		}
		p.apps.add(it)
	}
	return p, nil
}

// wire wires one app on connections to the database, which stay the caller's.
func (p *parts) wire(cfg config, a appConfig, db *database) (*app, error) {
	it, err := newApp(cfg, p.me, a, db, p.bus.Conn, p.metrics, p.checks, p.log)
	if err == nil && p.cfg.HTTP.Listen != "" {
		it.panel.live = p.lookout.live
	}
	return it, err
}

func (p *parts) close() error {
	p.apps.close()
	var errs []error
	if p.bus != nil {
		errs = append(errs, p.bus.Close())
	}
	if p.db != nil {
		errs = append(errs, p.db.Close())
	}
	return errors.Join(errs...)
}

// daemon runs the whole program until ctx ends, which is no error, or until
// something breaks that no waiting mends. started, when not nil, is called when
// everything runs but the polling, which begins when it returns.
func daemon(ctx context.Context, cfg config, log zerolog.Logger, migrate bool, started func(*parts), again reloading) (err error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	log.Info().Str("version", versionText()).Int("apps", len(cfg.Apps)).Msg("starting")
	p, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer p.systemd.run(ctx)() // to the very end, when all is closed
	defer closing(&err, p.close)
	p.announcePostgres()
	p.announceNATS()
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { p.serve(ctx, fail) })
	running.Go(func() { p.watchOver(ctx, fail) })
	running.Go(func() { p.inheritPostgres(ctx, fail) })
	running.Go(func() { p.inheritNATS(ctx, fail) })
	running.Go(func() { p.reloads(ctx, again) })
	if err := p.ready(ctx, migrate); err != nil {
		fail(err)
		return asked(ctx, err)
	}
	if started != nil {
		started(p)
	}
	defer p.apps.wait()
	p.apps.begin(ctx)
	p.systemd.begin()
	running.Go(func() { p.takeCallbacks(ctx, fail) })
	running.Go(func() { newSharing(p).run(ctx) })
	running.Go(func() { p.maintain(ctx) })
	<-ctx.Done()
	log.Info().Msg("stopping")
	return asked(ctx, context.Cause(ctx))
}

// asked tells being asked to stop, which is no error, from breaking.
func asked(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return nil
	}
	return err
}

// ready waits for the database and brings the schema up, or waits until somebody
// else has. A database that does not answer yet is waited for; one that refuses a
// migration is not.
func (p *parts) ready(ctx context.Context, migrate bool) error {
	pause := newPause()
	for {
		err := p.db.Ping(ctx)
		if err == nil {
			err = p.schema(ctx, migrate)
			if err == nil || migrate && !passing(err) && p.db.Ping(ctx) == nil {
				if err == nil {
					p.checks.Set("schema", nil)
					p.schemaUp.Store(true)
				}
				return err
			}
			p.checks.Set("schema", err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p.log.Warn().Err(err).Msg("waiting for the database")
		pause.wait(ctx)
	}
}

// errSchema says that the database is not ready for this program.
var errSchema = errors.New("the database has an older schema, or none: run poller migrate")

// schema brings the schema up or, when it is not to, checks that it is.
func (p *parts) schema(ctx context.Context, migrate bool) error {
	if !migrate {
		pending, err := p.db.pending(ctx)
		if err == nil && pending {
			err = errSchema
		}
		return err
	}
	applied, err := p.db.migrate(ctx)
	for _, m := range applied {
		p.log.Info().Str("file", m.File).Dur("elapsed", m.Took).Msg("migrated")
	}
	return err
}

// serve answers HTTP, if it is to.
func (p *parts) serve(ctx context.Context, fail context.CancelCauseFunc) {
	if p.cfg.HTTP.Listen == "" {
		return
	}
	site, err := p.site()
	if err == nil {
		var feeding sync.WaitGroup
		defer feeding.Wait()
		feeding.Go(func() { p.feedPage(ctx) })
		err = status.Serve(ctx, p.cfg.HTTP.Listen, site, func(addr string) {
			p.log.Info().Str("addr", addr).Msg("http listens")
		})
	}
	if err != nil {
		fail(fmt.Errorf("http.listen (POLLER_HTTP_LISTEN): %w", err))
	}
}

// watchOver feeds the checks that no room feeds, and ends the program when the
// NATS client gives up, as it does after some errors of the protocol: a new start
// is the supervisor's business.
func (p *parts) watchOver(ctx context.Context, fail context.CancelCauseFunc) {
	const every, patience = 2 * time.Second, 2 * time.Second
	p.checks.Watch("nats", func(time.Time) error {
		return p.bus.away()
	})
	p.checks.Expect("postgres", 2*(every+patience))
	p.checks.Expect("schema", 0)
	var judging sync.WaitGroup
	defer judging.Wait()
	judging.Go(func() { p.checks.Run(ctx, p.log) })
	for {
		probe, cancel := context.WithTimeout(ctx, patience)
		p.probe(probe)
		cancel()
		if p.bus.IsClosed() && ctx.Err() == nil {
			fail(fmt.Errorf("the connection to nats is closed for good: %w", p.bus.LastError()))
			return
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return
		}
	}
}
