package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/replay"
	"github.com/zim-presence/poller/presence"
)

// replayTellCmd is poller replay, or in full poller replay tell.
type replayTellCmd struct {
	replayFlags
	Name      string   `placeholder:"NAME" help:"What the replay is called: letters, digits, _ and -. It is in its subjects and names its stream; the same name goes on with it."`
	From      bound    `placeholder:"WHEN" help:"Where it begins: a time such as 2026-11-22T18:43:36Z or 2026-11-22 (UTC), how long ago such as 2h or 7d, or the number of an event, which is included. Without it, the earliest that is kept."`
	To        bound    `placeholder:"WHEN" help:"Where it ends, in the same forms: before that time, or with that event. Without it, the newest that has been told live when it is first started."`
	User      []string `sep:"none" placeholder:"USER" help:"Only this user; may be given several times."`
	UsersFile string   `placeholder:"FILE" help:"Only the users in this file, one a line."`
	Kind      []string `enum:"online,offline,baseline,removed,stale" placeholder:"KIND" help:"Only events of this kind: online, offline, baseline, removed or stale; may be given several times."`
	Rate      float64  `placeholder:"N" help:"At most so many messages a second, evenly paced. 0, the default: as fast as it can."`
	MaxAge    age      `placeholder:"DURATION" default:"24h" help:"How long its stream keeps a message, such as 24h or 7d; 0s for ever. The stream is made with it and not altered later."`
	WithState bool     `help:"Begin with the state of everybody, or of the users chosen, at the beginning of the range."`
	Snapshots bool     `help:"Tell net changes between the kept snapshots in place of events: they reach further back. --from and --to are times then."`
	Core      bool     `help:"Publish without a stream, to who listens at the moment."`
	DryRun    bool     `help:"Only count, by day (UTC) and kind. Needs no name, publishes nothing and writes nothing."`
	Output    string   `name:"output" short:"o" enum:"text,json" default:"text" help:"How to print: text or json."`
}

// Help is shown below the flags' by --help.
func (replayTellCmd) Help() string {
	return `Tells what is in the ledger once more: the same events with the same ids, numbers and bytes, on
presence.replay.<name>.<app>.<kind>.<user>, in the stream PRESENCE_REPLAY_<app>_<name>. Headers say that it is a replay,
which one, and the position in it. The live stream and the bucket are not touched. It takes no lease, and may run beside
daemons.

A replay that was stopped or killed goes on when it is run again with the same name and the same choice; each message is
in its stream once. Where it ends is fixed when it is first started. With another choice the name is refused. While a
replay is in progress, retention leaves it what it needs; one that nobody has gone on with for seven days does not count.
poller replay list shows them, poller replay drop NAME gives one up.

A beginning that retention has dropped is refused with the earliest possible one. What was erased is passed over. What
the daemon is not known to have told live yet is left out, and counted: until then an adoption may drop it.

--with-state begins with messages of the type presence.state.v1 that have no number. --snapshots tells messages of the
type presence.net.v1: what flipped and flipped back between two kept snapshots is not in them.

With --core nothing is stored: after a kill what was told in the last second, or the last 5,000 messages, may be told
again. A replay with --core that was killed can be gone on with after five seconds.`
}

// Run tells, or goes on. Asked to stop it says how to go on, which is no error.
func (c *replayTellCmd) Run(ctx context.Context, g *globals) error {
	choice, users, err := c.check()
	if err != nil {
		return err
	}
	if c.DryRun {
		return c.with(ctx, g, silent, false, func(p replayParts) error { return c.dry(ctx, g, p, choice, users) })
	}
	line := newReplayLine(g.Stderr, c.Name)
	defer line.end()
	log := func(cfg config) zerolog.Logger { return newQuietLogger(cfg.Log, line.aside()) }
	return c.with(ctx, g, log, true, func(p replayParts) error { return c.tell(ctx, g, p, choice, users, line) })
}

func (c *replayTellCmd) check() (replayChoice, []string, error) {
	if err := presence.CheckReplayName(c.Name); err != nil && (c.Name != "" || !c.DryRun) {
		if c.Name == "" {
			return replayChoice{}, nil, usagef("--name is needed: what the replay is to be called (or --dry-run)")
		}
		return replayChoice{}, nil, usageError{err}
	}
	for name, one := range map[string]bound{"--from": c.From, "--to": c.To} {
		if c.Snapshots && one.seq > 0 {
			return replayChoice{}, nil, usagef("%s %s: with --snapshots it has to be a time", name, one.text)
		}
	}
	if c.From.given() && c.To.given() && (c.From.seq > 0 && c.To.seq > 0 && c.To.seq < c.From.seq ||
		c.From.seq == 0 && c.To.seq == 0 && !c.From.at.Before(c.To.at)) {
		return replayChoice{}, nil, usagef("nothing is between --from %s and --to %s", c.From.text, c.To.text)
	}
	if c.Rate < 0 || c.Rate > 0 && c.Rate < 0.001 {
		return replayChoice{}, nil, usagef("--rate %g is not 0, nor 0.001 or more", c.Rate)
	}
	return c.choice()
}

// tell starts the replay or goes on with it.
func (c *replayTellCmd) tell(ctx context.Context, g *globals, p replayParts, choice replayChoice, users []string, line *replayLine) error {
	if _, err := c.teller(p, ""); err != nil { // before a row is made
		return usageError{err}
	}
	row, err := c.row(ctx, p, choice)
	if err != nil {
		return err
	}
	if !row.Ended.IsZero() {
		return c.print(g, newReplayReport(p.app, row, replay.Report{Told: row.Told, Seq: row.ToldSeq}))
	}
	asked, err := readAsked(row)
	if err != nil {
		return err
	}
	teller, err := c.teller(p, asked.mark(row))
	if err != nil {
		return err
	}
	past := p.ledger.Past()
	chosen, unknown, err := choice.chosen(ctx, past, users)
	if err != nil {
		return err
	}
	warnUnknown(line.aside(), unknown)
	hold, err := c.hold(ctx, p, row)
	if err != nil {
		return err
	}
	r := replay.Replay{
		App: p.app, Name: c.Name, LedgerLog: asked.Log, First: row.First, Last: row.Last, Since: asked.Since,
		Ledger:    ledger.Range{Past: past, Choice: chosen, Until: asked.Until},
		WithState: choice.WithState, At: asked.At, Net: choice.Snapshots, Sweeps: asked.Sweeps, Kept: asked.Kept,
		Kinds: chosen.Kinds, Users: numberSet(chosen.Users),
		Snapshots: past, Names: past, Teller: teller, Book: hold, ToldSeq: row.ToldSeq, Told: row.Told,
		Rate: c.Rate, Weather: replayWeather, Log: p.log.With().Str("replay", c.Name).Uint32("app", p.app).Logger(),
		Progress: func(r replay.Report) { line.tell(row, r) },
	}
	report, err := r.Run(ctx)
	if left := hold.Leave(context.WithoutCancel(ctx)); err != nil && left != nil {
		p.log.Warn().Err(left).Msg("the replay could not be given out of hand")
	}
	line.end()
	return c.conclude(ctx, g, p, report, err)
}

// teller is where it is told.
func (c *replayTellCmd) teller(p replayParts, mark string) (replay.Teller, error) {
	if c.Core {
		return p.stream.CoreReplay(c.Name)
	}
	told, err := p.stream.Replay(c.Name, c.MaxAge.Duration)
	if err != nil {
		return nil, err
	}
	return told.Marked(mark), nil
}

func (c *replayTellCmd) conclude(ctx context.Context, g *globals, p replayParts, report replay.Report, err error) error {
	stopped := err != nil
	if err = asked(ctx, err); err != nil {
		return fmt.Errorf("replay %s of app %d, behind %d messages: %w", c.Name, p.app, report.Told, err)
	}
	if stopped {
		fmt.Fprintf(g.Stderr, "replay %s: stopped behind %d messages; the same command goes on, poller replay drop %s gives it up\n", c.Name, report.Told, c.Name)
		if c.Output != "json" {
			return nil
		}
	}
	row, _, err := p.ledger.Replay(context.WithoutCancel(ctx), c.Name)
	if err != nil {
		return err
	}
	return c.print(g, newReplayReport(p.app, row, report))
}

// row returns the row of the replay, which is made, and its range fixed, when it is started first.
func (c *replayTellCmd) row(ctx context.Context, p replayParts, choice replayChoice) (row ledger.Replay, err error) {
	row, found, err := p.ledger.Replay(ctx, c.Name)
	if err == nil && !found {
		if err = c.start(ctx, p, choice); err == nil {
			row, found, err = p.ledger.Replay(ctx, c.Name)
		}
	}
	if err != nil {
		return row, err
	}
	if !found {
		return row, fmt.Errorf("replay %s of app %d: %w", c.Name, p.app, ledger.ErrReplayTaken)
	}
	asked, err := readAsked(row)
	if err != nil {
		return row, err
	}
	if !asked.same(choice) {
		return row, usagef("the replay %s was started with another choice: %s; choose another name, or poller replay drop %s",
			c.Name, asked.replayChoice, c.Name)
	}
	return row, nil
}

// start keeps a new replay. The range is looked at once more behind that: from then on retention leaves it what it
// needs, and before it may have dropped some.
func (c *replayTellCmd) start(ctx context.Context, p replayParts, choice replayChoice) error {
	find := ranging{past: p.ledger.Past(), ledger: p.ledger, app: p.app}
	found, err := find.find(ctx, c)
	if err != nil {
		return err
	}
	asked := replayAsked{replayChoice: choice, Since: found.since, Until: found.until, At: found.at, Sweeps: found.sweeps,
		Kept: found.kept, Untold: found.untold}
	if asked.Log, err = p.ledger.Log(ctx); err != nil {
		return err
	}
	data, err := json.Marshal(asked)
	if err != nil {
		return err
	}
	made, err := p.ledger.StartReplay(ctx, ledger.Replay{Name: c.Name, Asked: data, First: found.first, Last: found.last, ToldSeq: found.needed})
	if err != nil || !made {
		return err
	}
	if _, err = find.find(ctx, c); err != nil {
		_, dropErr := p.ledger.DropReplay(context.WithoutCancel(ctx), c.Name)
		return errors.Join(err, dropErr)
	}
	return nil
}

// numberSet is the users by number; nil for everybody.
func numberSet(numbers []int32) map[uint32]bool {
	if numbers == nil {
		return nil
	}
	set := make(map[uint32]bool, len(numbers))
	for no := range slices.Values(numbers) {
		set[uint32(no)] = true
	}
	return set
}
