package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/local"
	"github.com/zim-presence/poller/migrations"
)

const (
	connectTimeout = 5 * time.Second // of one connection, unless the DSN says another
	pingTimeout    = 5 * time.Second // of the ping of a connection that was idle
	migrateTimeout = 5 * time.Minute // of the wait for another program's migration, and of our own
)

// connsOfApp is how many connections an app takes at a time: its sweep reads the watchlist on one while it enrolls on
// another, its relay has a third. With fewer the apps would wait for each other, until their leases are over.
const connsOfApp = 3

// database is the Postgres that a command works with: the one configured, or the embedded one.
type database struct {
	*pgxpool.Pool
	dsn      string
	embedded *local.PostgresServer // nil with one that is configured
}

// openDatabase returns the pool of the configured Postgres, or with none configured the embedded one under the data
// directory: already running there, or started here and stopped by Close. It does not ask the configured one to
// answer, so that a daemon can start before its database; reach does. Logs hear of the embedded one's starts and stops.
func openDatabase(ctx context.Context, cfg config, log zerolog.Logger) (*database, error) {
	db := &database{dsn: string(cfg.Database.URL)}
	if db.dsn == "" {
		server, err := local.OpenPostgres(ctx, local.Postgres{Dir: cfg.DataDir, Log: log})
		if err != nil {
			return nil, fmt.Errorf("embedded postgres under data_dir (POLLER_DATA_DIR) %s: %w", cfg.DataDir, err)
		}
		db.embedded, db.dsn = server, server.DSN()
	}
	settings, err := poolConfig(db.dsn)
	if err == nil {
		// The probe and the partitions take two more.
		settings.MaxConns = max(settings.MaxConns, int32(connsOfApp*len(cfg.Apps)+2))
		db.Pool, err = pgxpool.NewWithConfig(ctx, settings)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("database: %w", err), db.Close())
	}
	return db, nil
}

// openCurrent is openDatabase for a command that writes no schema: it makes no embedded Postgres that is not there yet,
// and the database has to answer and to have this program's schema.
func openCurrent(ctx context.Context, cfg config, log zerolog.Logger) (*database, error) {
	if cfg.Database.URL == "" && !local.HasPostgres(cfg.DataDir) {
		return nil, fmt.Errorf("there is no database in %s: is POLLER_DATA_DIR (data_dir) the daemon's?", cfg.DataDir)
	}
	db, err := openDatabase(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	if err := db.current(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// current makes sure that the database answers and has this program's schema.
func (db *database) current(ctx context.Context) error {
	var tables bool
	asked, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	// Before the migrations are asked, which make their own table where it is missing.
	err := db.QueryRow(asked, `select to_regclass('poller_migrations') is not null and to_regclass('transitions') is not null`).Scan(&tables)
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if !tables {
		return errors.New("the database has no tables of the poller: is the DSN right? if so: poller migrate")
	}
	pending, err := db.pending(ctx)
	if err == nil && pending {
		err = errors.New("the schema is older than this program: poller migrate")
	}
	return err
}

// poolConfig is how every connection to Postgres is made.
func poolConfig(dsn string) (*pgxpool.Config, error) {
	settings, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	settings.PingTimeout = pingTimeout
	conn := settings.ConnConfig
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = connectTimeout
	}
	conn.DialFunc = databaseDialer(conn.ConnectTimeout, silentPeer).DialContext
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "poller"
	}
	// A pooler in transaction mode gives each transaction another session, where the prepared statements of the
	// library's default mode are missing. This mode names none: it asks once for the types of a statement, and from
	// then on sends statement and arguments together, still in binary; mode exec would send all as text, and would
	// have to guess the types of arrays. What it remembers can be wrong after a migration once for each connection
	// and statement: that one fails and is asked anew.
	conn.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	// A session that began read-only may stay so when the database has long been writable again: it is not kept.
	conn.OnPgError = func(_ *pgconn.PgConn, refused *pgconn.PgError) bool {
		return !strings.EqualFold(refused.Severity, "fatal") && refused.Code != readOnly
	}
	return settings, nil
}

// reach makes sure that the database answers and has the newest schema, for a command that cannot go on without.
func (db *database) reach(ctx context.Context) error {
	if err := db.Ping(ctx); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	_, err := db.migrate(ctx)
	return err
}

// apart returns the same database with connections of its own, for an app that comes when the pool, which cannot grow, has
// been made for those that were there. Close ends only these.
func (db *database) apart(ctx context.Context) (*database, error) {
	settings := db.Config()
	settings.MaxConns, settings.MinConns, settings.MinIdleConns = connsOfApp, 0, 0
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	return &database{Pool: pool, dsn: db.dsn}, nil
}

// migrate brings the schema up, over connections like those of the pool, and returns what it ran.
func (db *database) migrate(ctx context.Context) ([]migrations.Applied, error) {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	name := stdlib.RegisterConnConfig(db.Config().ConnConfig)
	defer stdlib.UnregisterConnConfig(name)
	return migrations.Up(ctx, name)
}

// pending tells whether the schema is older than this program's.
func (db *database) pending(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	name := stdlib.RegisterConnConfig(db.Config().ConnConfig)
	defer stdlib.UnregisterConnConfig(name)
	return migrations.Pending(ctx, name)
}

// Close returns when every connection is closed and an embedded Postgres that was started here has stopped.
func (db *database) Close() error {
	if db.Pool != nil {
		db.Pool.Close()
	}
	if db.embedded != nil {
		return db.embedded.Close()
	}
	return nil
}
