package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// doctorCmd is poller doctor: everything that can be wrong, tried.
type doctorCmd struct {
	App     uint32        `placeholder:"ID" help:"Only this app; all that are configured, if not given."`
	Timeout time.Duration `default:"5s" placeholder:"DURATION" help:"The most that one trial may take: ${default}, if not given."`
	From    string        `placeholder:"URL" help:"The daemon that is asked how it is: its http listener, such as http://10.0.0.7:8080. http.listen of the configuration, if not given."`
	Output  string        `name:"output" short:"o" enum:"text,json" default:"text" help:"How to print: text or json."`
}

// Help is shown below the flags' by --help.
func (doctorCmd) Help() string {
	return `Tries everything that can be wrong before and during service: the configuration, this machine, Postgres, NATS, the
streams, the watchlist, the way to ZIM, and one real query. A line each, and below what is wrong how it is mended.

It migrates nothing, makes no stream and alters none, and may run beside daemons. While a daemon polls an app, doctor
asks ZIM nothing about it, and says what the daemon's sweeps brought. Else it takes the app's lease for one query, as
poller sweep does, and gives it back.

Exit code 0: all well, warnings allowed. 1: something is broken. 2: called wrongly, or the configuration is at fault.`
}

// Run tries everything, and prints what came of it.
func (c *doctorCmd) Run(ctx context.Context, g *globals) error {
	if c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute {
		return usagef("--timeout %s is not from 100ms to 1m", c.Timeout)
	}
	began := time.Now()
	cfg, err := g.load(needAll)
	if shown := (faults)(nil); errors.As(err, &shown) && c.Output == "json" {
		if err := writeJSON(g.Stdout, newDoctorReport(began, configFaults(shown))); err != nil {
			return err
		}
		return shownError{shown}
	}
	if err != nil {
		return err
	}
	if c.App != 0 {
		one, err := cfg.app(c.App)
		if err != nil {
			return err
		}
		cfg.Apps = []appConfig{one}
	}
	from, err := daemonURL(c.From, cfg)
	if err != nil {
		return err
	}
	d := &doctor{cfg: cfg, timeout: c.Timeout, from: from, path: g.configPath()}
	report := newDoctorReport(began, d.examine(ctx))
	if ctx.Err() != nil { // what was broken off looks like a fault
		return errors.New("interrupted before everything was tried")
	}
	if err := c.print(g, report); err != nil || report.OK {
		return err
	}
	return foundError{}
}

func (c *doctorCmd) print(g *globals, r doctorReport) error {
	if c.Output == "json" {
		return writeJSON(g.Stdout, r)
	}
	_, err := fmt.Fprint(g.Stdout, r.text(colourful(g)))
	return err
}

// foundError says that something is broken, which was printed already.
type foundError struct{}

// Error is empty: there is nothing more to say.
func (foundError) Error() string { return "" }

// doctor tries things. What it found in one place it needs in another:
//
//	configuration, machine ─────────────────────────────┐
//	Postgres ──→ schema ──┬─→ each app: watchlist, lease ├─→ report
//	NATS ────────────────→┼─→ each app: streams, ledger  │
//	ZIM: the way ─────────┴─→ each app: one query ───────┘
//
// What stands in one column is tried at the same time.
type doctor struct {
	cfg     config
	timeout time.Duration
	from    string // the daemon's http listener; empty for none
	path    string // of the configuration file; empty for none

	database postgresFound
	nats     natsFound
	routes   map[string]bool          // by base url: ZIM was reached
	skews    map[uint32]time.Duration // by app: how far the daemon's clock is ahead of ZIM's

	mu    sync.Mutex // guards users
	users map[uint32]crowd
}

// examine returns the charts in the order in which they are shown.
func (d *doctor) examine(ctx context.Context) []*chart {
	machine, postgres, nats, zim, daemon := newChart("machine"), newChart("postgres"), newChart("nats"), newChart("zim"), newChart("daemon")
	d.users, d.routes = map[uint32]crowd{}, map[string]bool{}
	defer d.close()
	abreast(
		func() { d.tryPostgres(ctx, postgres) },
		func() { d.tryNATS(ctx, nats) },
		func() { d.tryZIM(ctx, zim) },
		func() { d.tryDaemon(ctx, daemon) },
	)
	apps := make([]*chart, len(d.cfg.Apps))
	trials := make([]func(), len(apps))
	for i, a := range d.cfg.Apps {
		apps[i] = newAppChart(a.AppID)
		trials[i] = func() { d.tryApp(ctx, a, apps[i]) }
	}
	abreast(trials...)
	d.tryMachine(ctx, machine) // last: it looks at how many users there are
	return append([]*chart{d.tryConfiguration(), machine, postgres, nats, zim, daemon}, apps...)
}

// abreast does all at the same time, and returns when all are done.
func abreast(trials ...func()) {
	var trying sync.WaitGroup
	defer trying.Wait()
	for _, trial := range trials {
		trying.Go(trial)
	}
}

// within is a context for one trial.
func (d *doctor) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d.timeout, noAnswerError{d.timeout})
}

// noAnswerError is the cause of a trial that took too long.
type noAnswerError struct{ after time.Duration }

func (e noAnswerError) Error() string { return "no answer within " + e.after.String() }

// Is tells that it is what others call a deadline.
func (noAnswerError) Is(target error) bool { return target == context.DeadlineExceeded }

func (d *doctor) close() {
	d.database.close()
	d.nats.close()
}
