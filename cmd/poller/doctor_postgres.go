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
	"github.com/zim-presence/poller/migrations"
)

const (
	leastPostgres = 140_000 // as in server_version_num
	databaseKey   = "database.url"
)

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

// openPostgres connects. An embedded one that nobody runs is run here meanwhile, as every command does.
func (d *doctor) openPostgres(ctx context.Context, c *chart) (*ledger.Examination, error) {
	db, err := openDatabase(ctx, d.cfg, zerolog.Nop())
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
	return "look at database.url (POLLER_DATABASE_URL), and at the server's log"
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

// mostAhead is by how much the clocks of the database and of this machine may differ before it is said.
const mostAhead = 2 * time.Second

func (d *doctor) tryServer(ctx context.Context, x *ledger.Examination, c *chart) error {
	s, err := x.Server(ctx)
	if err != nil {
		return err
	}
	if s.Number < leastPostgres {
		c.fault("version", "upgrade to PostgreSQL 14 or newer", "%s", s.Version)
	} else {
		c.ok("version", "%s", s.Version)
	}
	if s.Encoding != "UTF8" {
		c.warn("encoding", "make the database anew with encoding 'UTF8'", "%s; the poller is tested with UTF8", s.Encoding)
	} else {
		c.ok("encoding", "UTF8")
	}
	switch {
	case s.Standby:
		c.fault("writable", "name the primary in database.url, or target_session_attrs=read-write with all hosts", "this is a standby: it takes no writes")
	case s.ReadOnly:
		c.fault("writable", "alter database … reset default_transaction_read_only, or that of the role", "transactions are read-only (default_transaction_read_only)")
	default:
		c.ok("writable", "yes")
	}
	d.tryDurability(c, s)
	tryTimeouts(c, s)
	d.tryAhead(c, s.Ahead, s.Within)
	return nil
}

// tryAhead compares the clock of the database with ours.
func (d *doctor) tryAhead(c *chart, ahead, within time.Duration) {
	if ahead.Abs() > mostAhead+within {
		c.warn("clock", "have both clocks set by NTP", "this machine's is %s the database's: times of events are this machine's, leases and ages the database's", aheadText(ahead))
		return
	}
	c.ok("clock", "agrees with this machine's (%s apart at the most)", (ahead.Abs() + within/2).Round(time.Millisecond))
}

// aheadText says how one clock is to another.
func aheadText(ahead time.Duration) string {
	if ahead < 0 {
		return shortly(-ahead) + " behind"
	}
	return shortly(ahead) + " ahead of"
}

func (d *doctor) tryDurability(c *chart, s ledger.Server) {
	var off []string
	for _, setting := range []struct {
		name string
		on   bool
	}{{"fsync", s.Fsync}, {"full_page_writes", s.FullPageWrites}, {"synchronous_commit", s.SynchronousCommit != "off"}} {
		if !setting.on {
			off = append(off, setting.name)
		}
	}
	if len(off) > 0 {
		c.warn("durability", "set "+strings.Join(off, ", ")+" = on", "%s off: after a crash of the server the ledger may lack what was told already", isAre(off))
		return
	}
	c.ok("durability", "fsync, full_page_writes, synchronous_commit = %s", s.SynchronousCommit)
}

// isAre is a list of what is something.
func isAre(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, ", ") + " are"
}

// The least that timeouts of the server may be: loading the state may take two minutes, and a connection of the pool
// may rest for a while.
const (
	leastStatement = 2 * time.Minute
	leastIdle      = time.Minute
)

func tryTimeouts(c *chart, s ledger.Server) {
	var short []string
	for _, timeout := range []struct {
		name       string
		set, least time.Duration
	}{
		{"statement_timeout", s.StatementTimeout, leastStatement}, {"transaction_timeout", s.TransactionTimeout, leastStatement},
		{"idle_in_transaction_session_timeout", s.IdleInTransactionTimeout, leastIdle}, {"idle_session_timeout", s.IdleSessionTimeout, leastIdle},
	} {
		if timeout.set > 0 && timeout.set < timeout.least {
			short = append(short, fmt.Sprintf("%s is %s, less than %s", timeout.name, timeout.set, timeout.least))
		}
	}
	if len(short) > 0 {
		c.warn("timeouts", "alter role … set it to 0, or to more than that", "%s", strings.Join(short, "; "))
		return
	}
	c.ok("timeouts", "none that is too short")
}

func (d *doctor) tryRoom(ctx context.Context, x *ledger.Examination, c *chart) error {
	left, most, err := x.Room(ctx)
	if err != nil {
		return err
	}
	// As openDatabase has them, and one each that names its session: of each lease, and of the register of replicas.
	need := 4*len(d.cfg.Apps) + 3
	if left < need {
		c.warn("connections", "raise max_connections, or the limit of the role or the database", "%d of %d are left, and a daemon may need %d; one that runs has its own already", left, most, need)
		return nil
	}
	c.ok("connections", "%d of %d are left, a daemon needs up to %d", left, most, need)
	return nil
}

func (d *doctor) trySchema(ctx context.Context, x *ledger.Examination, c *chart) error {
	s, err := x.Schema(ctx)
	if err != nil {
		return err
	}
	found, newest := &d.database, migrations.Newest()
	switch {
	case s.Version == 0 && !s.MayCreate:
		found.bare, found.why = true, "the database has no tables yet"
		c.fault("schema", "poller migrate with the DSN of the role that is to own the tables; or name the right database and schema in database.url",
			"the database has no tables of the poller, and this role may not make them")
	case s.Version == 0:
		found.bare, found.why = true, "the database has no tables yet"
		c.warn("schema", "poller migrate; poller run does it too", "the database has no tables of the poller yet")
	case s.Version < newest:
		found.why = "the schema is older than this program"
		c.fault("schema", "poller migrate, with the DSN of the role that owns the tables; poller run does it too, unless --no-migrate",
			"version %d, and this program needs %d", s.Version, newest)
	case s.Version > newest:
		found.usable = true
		c.warn("schema", "use the newer version of the poller, if you did not go back on purpose", "version %d, made by a newer program; this one knows %d", s.Version, newest)
	default:
		found.usable = true
		c.ok("schema", "version %d", s.Version)
	}
	return nil
}

func (d *doctor) tryRights(ctx context.Context, x *ledger.Examination, c *chart) error {
	if !d.database.usable {
		c.untried("rights", "%s", d.database.why)
		return nil
	}
	r, err := x.Rights(ctx)
	if err != nil {
		return err
	}
	switch {
	case len(r.Missing) > 0:
		c.fault("rights", grants(append(r.Missing, r.Optional...), r.Role), "role %s lacks %s", r.Role, strings.Join(r.Missing, "; "))
	case len(r.Optional) > 0:
		c.warn("rights", grants(r.Optional, r.Role)+"; or run poller prune daily, as the role that owns the tables",
			"role %s may not drop what is past its age: it lacks %s", r.Role, strings.Join(r.Optional, "; "))
	default:
		c.ok("rights", "role %s may do all that the daemon does", r.Role)
	}
	return nil
}

// grants are the statements that grant what is missing.
func grants(missing []string, role string) string {
	lines := []string{"as the role that owns the tables:"}
	for _, m := range missing {
		lines = append(lines, fmt.Sprintf("grant %s to %s;", m, role))
	}
	return strings.Join(lines, "\n")
}

// leastAhead is how many days of partitions there are at least where a daemon has run in the last days.
const leastAhead = 2

func (d *doctor) tryPartitions(ctx context.Context, x *ledger.Examination, c *chart) error {
	if !d.database.usable {
		c.untried("partitions", "%s", d.database.why)
		return nil
	}
	days, err := x.Ahead(ctx)
	if err != nil {
		return err
	}
	if days < leastAhead {
		c.warn("partitions", "none, where no daemon has run lately: the next one makes them. Else look in its log for partitions were not made",
			"the ledger has partitions for %s from today on", plural(int64(days), "day"))
		return nil
	}
	c.ok("partitions", "%s from today on", plural(int64(days), "day"))
	return nil
}

// pool is the database for the rooms; nil while they cannot work on it.
func (p *postgresFound) pool() *pgxpool.Pool {
	if p.db == nil || !p.usable {
		return nil
	}
	return p.db.Pool
}
