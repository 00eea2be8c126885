package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"
)

const (
	// superuser owns everything in a private Postgres.
	superuser = "poller"
	// database is the one that a private Postgres is for.
	database = "poller"
)

// Postgres says where and how a private Postgres is to run.
type Postgres struct {
	// Dir is the data directory; made if it is missing. Postgres keeps its data in Dir/postgres.
	Dir string
	// Throwaway trades durability for speed: an outage of the machine may destroy the data. It has no
	// effect where another process already runs this Postgres.
	Throwaway bool
	// MaxConnections is how many sessions there may be at once; 0 means 100.
	MaxConnections int
	// Bin is the directory of the server programs; empty means that they are searched for.
	Bin string
	// Log hears of starts and stops, and at level debug all that Postgres says.
	Log zerolog.Logger
}

// PostgresServer is a running private Postgres, run by this process or by another.
type PostgresServer struct {
	how        Postgres
	data       string
	share      share
	dsn        string
	postmaster *child // nil if another process runs it
	close      func() error
}

// HasPostgres tells whether a data directory holds the data of a private Postgres. What cannot be looked at is
// taken for data: opening it says what is wrong.
func HasPostgres(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "postgres"))
	return !errors.Is(err, fs.ErrNotExist)
}

// OpenPostgres returns the Postgres of a data directory: the one that another process runs there, or else
// a new one, started here, with the data made on first use. The context bounds the opening alone; the
// server runs until Close or until this process ends. A *MissingError says that Postgres is not installed.
func OpenPostgres(ctx context.Context, p Postgres) (*PostgresServer, error) {
	dir, err := filepath.Abs(p.Dir)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", p.Dir, err)
	}
	if err := reachable(dir); err != nil {
		return nil, err
	}
	s := &PostgresServer{how: p, data: filepath.Join(dir, "postgres"), close: func() error { return nil }, share: share{
		name:        "postgres",
		lockFile:    filepath.Join(dir, "postgres.lock"),
		addressFile: filepath.Join(dir, "postgres.dsn"),
		alive:       answers,
	}}
	lock, dsn, err := s.share.enter(ctx)
	if err != nil {
		return nil, err
	}
	if lock == nil {
		s.dsn = dsn
		return s, nil
	}
	if err := s.own(ctx, lock); err != nil {
		return nil, err
	}
	return s, nil
}

// TakeOver waits until the process that runs the server has ended, however it did, and then runs it here, at
// the same DSN; whoever is connected to it has to connect anew. It returns at once where this process runs it.
// An error says that it cannot be run here, that another process runs it elsewhere now, or that ctx has ended.
// Nothing but DSN and Vacant may be called meanwhile.
func (s *PostgresServer) TakeOver(ctx context.Context) error {
	if s.Owned() {
		return nil
	}
	lock, err := s.share.inherit(ctx, s.dsn)
	if err != nil {
		return err
	}
	if dsn := dsnFor(socketDir(s.data), database); dsn != s.dsn {
		_ = lock.Close()
		return fmt.Errorf("postgres would be at another address here: %s", dsn)
	}
	return s.own(ctx, lock)
}

// own runs the server with the held lock, and publishes where.
func (s *PostgresServer) own(ctx context.Context, lock *os.File) error {
	dsn, postmaster, stop, err := s.how.run(ctx, s.data)
	if err != nil {
		_ = lock.Close()
		return err
	}
	s.dsn, s.postmaster = dsn, postmaster
	s.close = sync.OnceValue(func() error {
		s.share.withdraw()
		return errors.Join(stop(), lock.Close())
	})
	if err := s.share.publish(dsn); err != nil {
		return errors.Join(err, s.close())
	}
	return nil
}

// DSN is the connection string of an empty or earlier used database, in URL form.
func (s *PostgresServer) DSN() string { return s.dsn }

// Owned tells whether this process runs it.
func (s *PostgresServer) Owned() bool { return s.postmaster != nil }

// Done is closed when a Postgres that this process runs has ended, asked to or not. It is nil, and so
// blocks for ever, where another process runs it.
func (s *PostgresServer) Done() <-chan struct{} {
	if s.postmaster == nil {
		return nil
	}
	return s.postmaster.exited
}

// Vacant tells whether nobody runs it any more, for the moment or for good: whether this process does and it
// has ended, or another did which has ended, or is about to.
func (s *PostgresServer) Vacant() bool {
	if s.postmaster != nil {
		return s.postmaster.over()
	}
	return s.share.vacant(s.dsn)
}

// Close stops a Postgres that this process runs and waits until it has stopped, about a minute at most.
// It does nothing to one that another process runs, or when called again.
func (s *PostgresServer) Close() error { return s.close() }

// run makes the data on first use, starts Postgres on it, and says how it is stopped. The caller holds the lock.
func (p Postgres) run(ctx context.Context, data string) (dsn string, postmaster *child, stop func() error, err error) {
	begun := time.Now()
	c, err := p.cluster(ctx, data)
	if err != nil {
		return "", nil, nil, err
	}
	if err := c.create(ctx); err != nil {
		return "", nil, nil, err
	}
	if err := prepareSocketDir(c.socket, c.account); err != nil {
		return "", nil, nil, err
	}
	if postmaster, err = c.start(ctx); err != nil {
		return "", nil, nil, err
	}
	dsn = dsnFor(c.socket, database)
	if err := ensureDatabase(ctx, c.socket); err != nil {
		return "", nil, nil, errors.Join(err, postmaster.stopPostmaster())
	}
	postmaster.log.setServing(true)
	p.Log.Debug().Str("dsn", dsn).Int("version", c.programs.major).Dur("elapsed", time.Since(begun)).Msg("postgres started")
	return dsn, postmaster, func() error {
		err := postmaster.stopPostmaster()
		if c.socket != c.data {
			err = errors.Join(err, os.RemoveAll(c.socket))
		}
		return err
	}, nil
}

// cluster settles by which programs, as whom and where Postgres runs.
func (p Postgres) cluster(ctx context.Context, data string) (cluster, error) {
	c := cluster{
		data:           data,
		socket:         socketDir(data),
		throwaway:      p.Throwaway,
		maxConnections: p.MaxConnections,
		log:            p.Log,
	}
	if c.maxConnections == 0 {
		c.maxConnections = 100
	}
	major, err := majorOf(data)
	if err != nil {
		return cluster{}, err
	}
	dirs := []string{p.Bin}
	if p.Bin == "" {
		dirs = searchPath(ctx)
	}
	if c.programs, err = findPrograms(ctx, dirs, major); err != nil {
		return cluster{}, err
	}
	if c.account, err = accountFor(data); err != nil {
		return cluster{}, err
	}
	return c, c.account.reaches(filepath.Dir(data))
}

// start starts Postgres and returns when it answers. Where the last one is still in the act of dying, it
// tries again.
func (c cluster) start(ctx context.Context) (*child, error) {
	giveUp := time.Now().Add(leftoverPatience)
	for {
		if err := c.clearLeftovers(ctx); err != nil {
			return nil, err
		}
		args := append([]string{"-D", c.data}, c.settings()...)
		postmaster, err := launch(c.account, c.log, c.data, c.programs.postgres(), args...)
		if err != nil {
			return nil, err
		}
		err = c.ready(ctx, postmaster)
		if err == nil {
			return postmaster, nil
		}
		stopped := postmaster.stopPostmaster()
		if ctx.Err() != nil {
			return nil, errors.Join(err, stopped)
		}
		if !strings.Contains(postmaster.log.tail(), "pre-existing shared memory block") || time.Now().After(giveUp) {
			return nil, err
		}
	}
}

// ready waits until Postgres answers, or has ended.
func (c cluster) ready(ctx context.Context, postmaster *child) error {
	for {
		err := answers(ctx, dsnFor(c.socket, "postgres"))
		if err == nil {
			return nil
		}
		select {
		case <-postmaster.exited:
			return fmt.Errorf("postgres on %s ended at its start: %w\n%s", c.data, postmaster.err, postmaster.log.tail())
		case <-ctx.Done():
			return fmt.Errorf("wait for postgres on %s: %w (%w)", c.data, context.Cause(ctx), err)
		case <-time.After(retryEvery):
		}
	}
}

// answers tells whether a database can be used.
func answers(ctx context.Context, dsn string) error {
	ctx, cancel := context.WithTimeout(ctx, aliveWithin)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// ensureDatabase makes the database unless it is there.
func ensureDatabase(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsnFor(socket, "postgres"))
	if err != nil {
		return fmt.Errorf("create database %s: %w", database, err)
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "create database "+database)
	var known *pgconn.PgError
	if errors.As(err, &known) && known.Code == "42P04" { // it exists
		return nil
	}
	if err != nil {
		return fmt.Errorf("create database %s: %w", database, err)
	}
	return nil
}
