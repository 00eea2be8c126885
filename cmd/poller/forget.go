package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/zim-presence/poller/presence"
)

// forgetCmd is poller forget: one person is erased from everything that the poller keeps.
type forgetCmd struct {
	User   string `arg:"" optional:"" help:"User id as ZIM knows it. Without it one line is read from standard input, and no shell keeps it. Put -- before one that begins with a dash."`
	App    uint32 `placeholder:"ID" help:"App whose user it is; needed when several are configured."`
	DryRun bool   `help:"Only say what would be removed."`
	Yes    bool   `help:"Remove it; it cannot be undone."`
	Output string `name:"output" short:"o" enum:"text,json" default:"text" help:"How to print: text or json."`

	Stdin io.Reader `kong:"-"` // nil: the process's own
}

// Help says what comes before.
func (c *forgetCmd) Help() string {
	return "Take the user out of the sources that fill the watchlist first, or the next load brings the user back."
}

// Run looks for the user, and with --yes removes what it finds. It may run beside daemons: it takes the lease from
// whoever has it, and the daemon waits, takes it again, and goes on without the user. Nothing found is no error.
func (c *forgetCmd) Run(ctx context.Context, g *globals) (err error) {
	user, err := c.user(g)
	if err != nil {
		return err
	}
	if wrong := presence.CheckUserID(user); wrong != nil { // it may stand on the watchlist all the same
		fmt.Fprintf(g.Stderr, "ZIM knows no such id: %v\n", wrong)
	}
	cfg, err := g.load(needDatabase | needNATS | needApps)
	if err != nil {
		return err
	}
	one, err := cfg.app(c.App)
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
	nats, err := openNATS(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer closing(&err, nats.Close)
	defer g.attend(&err, nats.vacant)()
	it, err := newForgetter(cfg, one, db, nats, log)
	if err != nil {
		return err
	}
	report, err := c.run(ctx, it, user)
	return errors.Join(c.print(g, report), err)
}

func (c *forgetCmd) run(ctx context.Context, it *forgetter, user string) (*forgetReport, error) {
	report, err := it.look(ctx, user)
	if err != nil {
		return report, err
	}
	if c.DryRun || !report.any() {
		return report, report.unseen()
	}
	if !c.Yes {
		return report, usagef("nothing was removed; to erase, add --yes")
	}
	return report, it.forget(ctx, report)
}

// user is the id, which is taken as it is: also one that ZIM cannot be asked about may stand on the watchlist.
func (c *forgetCmd) user(g *globals) (string, error) {
	if c.User != "" {
		return c.User, nil
	}
	in := c.Stdin
	if in == nil {
		in = os.Stdin
	}
	if file, ok := in.(*os.File); ok && onTerminal(file) {
		fmt.Fprintln(g.Stderr, "user id, on one line:")
	}
	lines := bufio.NewScanner(in)
	var user string
	if lines.Scan() {
		user = strings.TrimSuffix(lines.Text(), "\r")
	}
	more := lines.Scan()
	switch {
	case lines.Err() != nil:
		return "", usageError{lines.Err()}
	case user == "":
		return "", usagef("no user is named")
	case more:
		return "", usagef("one user at a time: there is more than one line")
	}
	return user, nil
}
