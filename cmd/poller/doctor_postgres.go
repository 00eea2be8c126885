package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/local"
)

const databaseKey = "database.url"

// postgresFound is what later trials need to know.
type postgresFound struct {
	db     *database
	usable bool // it answers and has this program's schema: the rooms can work on it
	bare   bool // it is certain that it has no tables of ours, so that nobody polls
	why    string
}

func (p *postgresFound) close() {
	if p.db != nil {
		_ = p.db.Close() // what was found was found
	}
}

// postgresChecks are those behind the first, in their order.
func postgresChecks() []string {
	return []string{"version", "encoding", "writable", "durability", "timeouts", "clock", "connections", "schema", "rights", "partitions"}
}

// tryPostgres looks at the database. What hangs ends the rest: each would wait as long.
func (d *doctor) tryPostgres(ctx context.Context, c *chart) {
	found := &d.database
	if d.cfg.Database.URL == "" && !local.HasPostgres(d.cfg.DataDir) {
		found.bare, found.why = true, "there is no database yet"
		d.tryPostgresPrograms(ctx, c)
		c.allUntried("there is no database yet: poller run makes it under "+d.cfg.DataDir, postgresChecks()...)
		return
	}
	x, err := d.openPostgres(ctx, c)
	if err != nil {
		found.why = "Postgres cannot be asked"
		c.allUntried("no connection", postgresChecks()...)
		return
	}
	defer x.Close()
	left := postgresChecks()
	for _, trial := range []struct {
		checks int // that it adds to the chart
		try    func(context.Context, *ledger.Examination, *chart) error
	}{{0, d.tryReached}, {6, d.tryServer}, {1, d.tryRoom}, {1, d.trySchema}, {1, d.tryRights}, {1, d.tryPartitions}} {
		if err := d.one(ctx, x, c, trial.try); err != nil {
			found.usable, found.why = false, "Postgres does not answer"
			c.fault(left[0], "look at what Postgres is doing: locks, load, disk", "%s", inShort(err))
			c.allUntried("the database did not answer", left[1:]...)
			return
		}
		left = left[trial.checks:]
	}
}

// one is one trial within its time.
func (d *doctor) one(ctx context.Context, x *ledger.Examination, c *chart, try func(context.Context, *ledger.Examination, *chart) error) error {
	ctx, cancel := d.within(ctx)
	defer cancel()
	if err := try(ctx, x, c); err != nil {
		return errOf(ctx, err)
	}
	return nil
}

// embeddedWithin is how long an embedded Postgres may take to start: it may have a crash to recover from.
const embeddedWithin = time.Minute

// openPostgres connects. An embedded one that nobody runs is run here meanwhile, as every command does.
func (d *doctor) openPostgres(ctx context.Context, c *chart) (*ledger.Examination, error) {
	opening, stop := context.WithTimeout(ctx, embeddedWithin)
	defer stop()
	db, err := openDatabase(opening, d.cfg, zerolog.Nop())
	if err != nil {
		c.fault("connection", "see the log of the daemon, or of poller migrate, which starts it too", "%s", inShort(err))
		return nil, err
	}
	d.database.db = db
	ctx, cancel := d.within(ctx)
	defer cancel()
	x, err := ledger.Examine(ctx, db.Config().ConnConfig)
	if err != nil {
		err = errOf(ctx, err)
		c.fault("connection", postgresMend(err), "%s", postgresText(err))
		return nil, err
	}
	return x, nil
}

// postgresText is an error of a connection without the attempts around it.
func postgresText(err error) string {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refused.Message + " (" + refused.Code + ")"
	}
	return inShort(err)
}

// postgresMend says what to do about a connection that was refused.
func postgresMend(err error) string {
	refused, _ := errors.AsType[*pgconn.PgError](err)
	switch {
	case refused == nil:
	case strings.HasPrefix(refused.Code, "28"):
		return "correct user and password in database.url, or let the role in (pg_hba.conf)"
	case refused.Code == "3D000":
		return "create the database, or correct its name in database.url"
	case refused.Code == denied:
		return "grant connect on the database to the role"
	case refused.Code == "53300":
		return "raise max_connections of the server, or the role's limit, or end what holds the connections"
	case refused.Code == "57P03":
		return "wait: the server is starting or stopping"
	}
	if mend := reachMend(err, databaseKey); mend != "" {
		return mend
	}
	return mendOf("postgres", err)
}

// denied is Postgres's code for a missing permission.
const denied = "42501"

// tryPostgresPrograms looks whether a private Postgres could be made.
func (d *doctor) tryPostgresPrograms(ctx context.Context, c *chart) {
	version, err := local.FindPostgres(ctx)
	if missing, ok := errors.AsType[*local.MissingError](err); ok {
		c.fault("connection", missing.Install()+", or set database.url to a Postgres elsewhere", "no Postgres is installed that could be run here")
		return
	}
	if err != nil {
		c.fault("connection", "set database.url to a Postgres elsewhere", "%s", inShort(err))
		return
	}
	c.ok("connection", "Postgres %d is installed, and will be run under %s", version, d.cfg.DataDir)
}

func (d *doctor) tryReached(ctx context.Context, x *ledger.Examination, c *chart) error {
	r, err := x.Reached(ctx)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("role %s, database %s", r.Role, r.Database)
	if d.database.db.embedded != nil {
		text += ", embedded"
	}
	switch {
	case r.TLS != "":
		text += ", " + r.TLS
	case r.Local:
		text += ", on this machine"
	}
	if !r.Direct {
		text += "; behind a pooler, or translated: another replica takes over after lease.ttl, not sooner"
	}
	switch {
	case r.TLS == "" && !r.Local:
		c.warn("connection", "put sslmode=verify-full into database.url", "%s; in the clear, over the network", text)
	case r.TLS != "" && !r.Verified && !r.Local:
		c.warn("connection", "put sslmode=verify-full into database.url, and sslrootcert where the authority is your own",
			"%s; whose certificate that is was not verified", text)
	default:
		c.ok("connection", "%s", text)
	}
	return nil
}

// pool is the database for the rooms; nil while they cannot work on it.
func (p *postgresFound) pool() *pgxpool.Pool {
	if p.db == nil || !p.usable {
		return nil
	}
	return p.db.Pool
}
