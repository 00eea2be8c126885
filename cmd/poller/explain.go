package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/presence"
)

// explainCmd is poller explain: why the program believes what it does of one user.
type explainCmd struct {
	User   string `arg:"" help:"The user's id."`
	App    uint32 `placeholder:"ID" help:"App whose user it is; needed when several are configured."`
	Limit  int    `default:"20" help:"Most events to show."`
	From   string `placeholder:"URL" help:"The daemon that is asked what ZIM answered lately: its http listener, such as http://10.0.0.7:8080. http.listen of the configuration, if not given."`
	Output string `name:"output" short:"o" enum:"text,json" default:"text" help:"How to print: text or json."`
}

// Help is shown below the flags' by --help.
func (explainCmd) Help() string {
	return `Tells why the poller believes what it does of one user: since when the user is watched, the told status and how old
it is, what ZIM answered lately with its codes and request ids, a change that waits to be confirmed, changes that were
not told and why, the newest events with their places in the event stream, and what the bucket has.

What ZIM answered lately is in the memory of the daemon that polls the app, and is gone when that restarts. It is asked
over http; a daemon that does not hold the app's lease knows little, and the one that does is named. Where the daemon or
NATS cannot be asked, that is said, and the rest is told. The database is needed.

It only reads, takes no lease, and may run beside daemons. Exit code 1: nothing is known of such a user.`
}

// Run gathers what is known, and prints it.
func (c *explainCmd) Run(ctx context.Context, g *globals) (err error) {
	if c.Limit < 1 || c.Limit > 10_000 {
		return usagef("--limit %d is not 1 to 10000", c.Limit)
	}
	cfg, err := g.load(needDatabase)
	if err != nil {
		return err
	}
	app, err := cfg.someApp(c.App)
	if err != nil {
		return err
	}
	where, err := c.daemon(cfg)
	if err != nil {
		return err
	}
	db, err := openCurrent(ctx, cfg, zerolog.Nop())
	if err != nil {
		return err
	}
	defer closing(&err, db.Close)
	defer g.attend(&err, db.vacant)()
	r, err := c.read(ctx, ledger.New(db.Pool, app, zerolog.Nop()), app)
	if err != nil {
		return err
	}
	r.hold = cfg.Hold
	if r.UserNo > 0 {
		r.Daemon = askDaemon(ctx, where, app, c.User)
		r.lookInto(ctx, cfg)
	}
	r.Summary = r.story()
	return c.print(g, r)
}

// read asks the database. Nothing known is an error.
func (c *explainCmd) read(ctx context.Context, l *ledger.Ledger, app uint32) (*explainReport, error) {
	if !utf8.ValidString(c.User) || strings.ContainsRune(c.User, 0) {
		return nil, &nobodyError{c.User, app, "no row of the database can have such an id"}
	}
	var found *ledger.Explained
	err := l.View(ctx, func(p *ledger.Past) (err error) {
		found, err = p.Explain(ctx, c.User, c.Limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	if !found.Known && found.Added.IsZero() {
		why := "not on the watchlist, and never was, or was erased since"
		if bad := presence.CheckUserID(c.User); bad != nil {
			why = "not on the watchlist; ZIM could not be asked about it either (" + bad.Error() + ")"
		}
		return nil, &nobodyError{c.User, app, why}
	}
	return newExplainReport(app, c.User, found, presence.Instant(time.Now())), nil
}

// nobodyError says that nothing is known of a user, and why.
type nobodyError struct {
	user string
	app  uint32
	why  string
}

func (e *nobodyError) Error() string {
	return fmt.Sprintf("nothing is known of %s in app %d: %s", shown(e.user), e.app, e.why)
}

// lookInto says where the events stand in the stream, as far as NATS can be asked.
func (r *explainReport) lookInto(ctx context.Context, cfg config) { r.placedBy(r.look(ctx, cfg)) }

// placedBy notes why the stream could not be asked, if so.
func (r *explainReport) placedBy(err error) {
	if err == nil {
		return
	}
	r.Stream.Why = err.Error()
	if errors.Is(err, stream.ErrMissing) {
		r.Stream.Why = "there is no such stream"
	}
}

func (r *explainReport) look(ctx context.Context, cfg config) (err error) {
	nats, err := openNATS(ctx, cfg, zerolog.Nop())
	if err != nil {
		return err
	}
	defer closing(&err, nats.Close)
	if err := nats.reach(ctx); err != nil {
		return err
	}
	s, err := stream.New(nats.Conn, stream.Config{AppID: r.AppID}, zerolog.Nop())
	if err != nil {
		return err
	}
	return r.search(ctx, s)
}

// search looks for the events in the stream, and for the user in the bucket.
func (r *explainReport) search(ctx context.Context, s *stream.Stream) error {
	found, err := s.Find(ctx, r.found.Events, r.found.Told.Seq)
	if err != nil {
		return err
	}
	r.placed(found)
	entry, err := s.Entry(ctx, r.UserID)
	if err == nil && entry.Seq > 0 {
		r.Stream.Entry = &explainEntry{Seq: entry.Seq, ID: entry.ID, Revision: entry.StreamSeq}
	}
	if errors.Is(err, stream.ErrMissing) {
		r.Stream.Bucketless, err = true, nil
	}
	return err
}

func (c *explainCmd) print(g *globals, r *explainReport) error {
	if c.Output == "json" {
		return writeJSON(g.Stdout, r)
	}
	_, err := fmt.Fprint(g.Stdout, r.text())
	return err
}
