package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/audit"
	"github.com/zim-presence/poller/internal/ledger"
)

// bucketPatience is how long the bucket may take to hold what the stream had: the server takes seconds after a restart,
// half a minute where the stream was made anew.
const bucketPatience = 45 * time.Second

// natsWithin is how long NATS may take to answer a command that cannot go on without.
const natsWithin = 5 * time.Second

// verifyCmd is poller verify: a second opinion on all that is kept and told.
type verifyCmd struct {
	App    uint32 `placeholder:"ID" help:"App to look at; needed when several are configured."`
	From   bound  `placeholder:"SEQ|TIME" help:"First event to look at: its number, or when it was recorded, as 2026-11-22T18:43:36Z, 2026-11-22 (UTC), or how long ago: 2h, 7d. Everything that is there, if not given."`
	To     bound  `placeholder:"SEQ|TIME" help:"Last event to look at: its number, or a time before which it was recorded. With it the state and the bucket, which say how it is now, are not looked at."`
	Output string `name:"output" short:"o" enum:"text,json" default:"text" help:"How to print: text or json."`
}

// Help is shown below the flags' by --help.
func (verifyCmd) Help() string {
	return `Proves that snapshots, ledger, state, stream and bucket agree, and says where they do not: of each kind of damage how
often it was found, and the first one with its key. Exit code 0: nothing was found; 1: something was, or it could not be
looked at to the end.

What is looked at, and the kinds of what is found:

  ledger     rows are numbered without gaps, recorded at times and by sweeps
             that never run backwards, and the app counts as many;
             key: the event, or apps
  chain      each event names the same user's event before it, and goes on
             from the status that this one led to; key: the user
  snapshot   each is the one before and the events between, for everybody,
             and its counts fit; key: the sweep
  state      each row of user_states is what the user's events lead to;
             key: the user
  lost, doubled, reordered, altered
             the stream has each event of the ledger once, in order, byte by
             byte; key: the event
  foreign    the stream has a message that is no event; key: its subject
  erasure    what is missing because it was erased was told as erased, and
             nothing else was; key: the event
  bucket     it has each user's last event; key: the user

It only reads, takes no lease, and may run beside daemons: what the stream does not have yet, or has since, is no damage
and is counted. Nor is what retention has dropped, what an adoption went on without (table gaps), or what was erased. It
keeps 8 bytes an event and about 150 a user in memory.

While it reads Postgres, in one read-only transaction, it holds up no poller. Retention drops no day meanwhile: it gives
up, and tries again some minutes later.`
}

// Run looks at everything and prints what it found. What it found is an error, of one line.
func (c *verifyCmd) Run(ctx context.Context, g *globals) (err error) {
	if err := c.check(time.Now()); err != nil {
		return err
	}
	cfg, err := g.load(needDatabase | needNATS)
	if err != nil {
		return err
	}
	app, err := cfg.someApp(c.App)
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
	if err := c.there(ctx, ledger.New(db.Pool, app, log)); err != nil {
		return err
	}
	nats, err := openNATS(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer closing(&err, nats.Close)
	defer g.attend(&err, nats.vacant)()
	if err := nats.reach(ctx); err != nil {
		return err
	}
	js, err := jetstream.New(nats.Conn)
	if err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	began := time.Now()
	found, err := audit.Audit{
		DB: db.Pool, JS: js, App: app, Live: true, Patience: bucketPatience,
		Range: audit.Range{First: c.From.seq, Last: c.To.seq, Since: c.From.at, Until: c.To.at},
	}.Run(ctx)
	report := newVerifyReport(found, time.Since(began), !c.To.given())
	if err != nil {
		report.Sound = false
		err = fmt.Errorf("not looked at to the end: %w", err)
	}
	return errors.Join(c.print(g, report), report.verdict(), err)
}

// reach makes sure that NATS answers, for a command that cannot go on without.
func (b *bus) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, natsWithin)
	defer cancel()
	if err := b.FlushWithContext(ctx); err != nil {
		if away := b.away(); away != nil {
			err = away
		}
		return fmt.Errorf("nats: %w", err)
	}
	return nil
}
