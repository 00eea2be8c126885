package main

import (
	"bufio"
	"context"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/presence"
)

// stateCmd is poller state: who was online at a time.
type stateCmd struct {
	App    uint32   `placeholder:"ID" help:"App whose users they are; needed when several are configured."`
	At     moment   `placeholder:"TIME" help:"The time: 2026-11-22T18:43:36Z, or 2026-11-22T18:43 or 2026-11-22 (UTC), or how long ago: 2h, -2h, 7d. Now, if not given."`
	User   []string `sep:"none" placeholder:"USER" help:"Only this user; may be given several times. Tells also which event brought the status, and when it was observed, if that is kept."`
	Online bool     `help:"Only who was online."`
	Output string   `name:"output" short:"o" enum:"csv,json,count" default:"csv" help:"How to print: csv, json, or only the count of each status."`
}

// Help is shown below the flags' by --help.
func (stateCmd) Help() string {
	return `Tells who was online and who offline at a time, from the newest snapshot that was finished by then and the events
behind it that had been observed by then, or confirmed, where they were held back. It only reads, takes no lease, and may run beside daemons.

A user is told as last seen at or before the time. Polling cannot know when a user changed: whose event says
(after, observed_at] with the time in between is told with the status before, and so is, until it was confirmed, whose
change was held back: the state is what was told.

Users come in the order in which they were first watched, those given with --user in the order given. Who was not
watched, not answered yet, or not for too long, is unknown, and not listed unless given. Who was erased since has no name any more, is
not listed, and is counted as erased. csv and count say on the standard error what they rest on, json says it in the
object that it writes.

Where the events behind the snapshot were dropped by retention, the state is that of the snapshot, and said to be. A
time before everything that is kept is refused with the earliest possible one.`
}

// Run reads everything in one view of the database, and prints when that is closed: a slow terminal holds up nobody.
func (c *stateCmd) Run(ctx context.Context, g *globals) (err error) {
	now := time.Now()
	if c.At.After(now) {
		return usagef("--at %s lies in the future", rfc(c.At.Time))
	}
	for _, id := range c.User {
		if err := checkUser(id); err != nil {
			return err
		}
	}
	if c.At.IsZero() {
		c.At.Time = presence.Instant(now)
	}
	cfg, err := g.load(needDatabase)
	if err != nil {
		return err
	}
	app, err := cfg.someApp(c.App)
	if err != nil {
		return err
	}
	db, err := openCurrent(ctx, cfg, zerolog.Nop())
	if err != nil {
		return err
	}
	defer closing(&err, db.Close)
	defer g.attend(&err, db.vacant)()
	r := newReading(app, c.At.Time, c.User, c.Online)
	if err := ledger.New(db.Pool, app, zerolog.Nop()).View(ctx, func(p *ledger.Past) error { return r.read(ctx, p) }); err != nil {
		return err
	}
	return c.print(g, r)
}

// checkUser refuses what cannot be a user's id, which is most often a list of several.
func checkUser(id string) error {
	err := presence.CheckUserID(id)
	switch {
	case id == "":
		return usagef("--user needs a user's id")
	case err != nil && strings.Contains(id, ","):
		return usagef("%q is no user id; give --user once for each", id)
	case err != nil:
		return usagef("%q is no user id: %w", id, err)
	}
	return nil
}

func (c *stateCmd) print(g *globals, r *reading) error {
	out := bufio.NewWriterSize(g.Stdout, 1<<16)
	switch c.Output {
	case "json":
		if err := r.writeJSON(out); err != nil {
			return err
		}
	case "csv":
		r.explain(g.Stderr)
		r.writeCSV(out)
	case "count":
		r.explain(g.Stderr)
		r.writeCounts(out)
	}
	return out.Flush()
}

// someApp is the app that a command is about which needs no more of it than its number: also one that is not configured,
// where none is.
func (c config) someApp(id uint32) (uint32, error) {
	if id != 0 && len(c.Apps) == 0 {
		return id, nil
	}
	one, err := c.app(id)
	return one.AppID, err
}

func rfc(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
