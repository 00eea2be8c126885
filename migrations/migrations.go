// Package migrations holds the schema as numbered SQL files and brings a
// database up to it. Files go forward only, and each is safe on a live
// database.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed *.sql
var files embed.FS

// Applied is a migration that [Up] has run.
type Applied struct {
	Version int64
	File    string
	Took    time.Duration
}

// Up brings the database that dsn names up to the newest schema and returns
// what it ran, in order; nothing when the schema is already there. Several
// programs may call it at once: one runs, the others wait for it. The lock is
// a row and not a session lock, so a pooler does not break it; it frees itself
// 10 s after its holder died, and is not asked for when there is nothing to do.
func Up(ctx context.Context, dsn string) ([]Applied, error) {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, wrap(err)
	}
	defer db.Close()
	provider, err := open(db)
	if err != nil {
		return nil, wrap(err)
	}
	if pending, err := provider.HasPending(ctx); err != nil || !pending {
		return nil, wrap(err)
	}
	results, err := provider.Up(ctx)
	applied := make([]Applied, 0, len(results))
	for _, r := range results {
		applied = append(applied, Applied{r.Source.Version, r.Source.Path, r.Duration})
	}
	return applied, wrap(err)
}

// Pending tells whether the database lacks a migration that this program has.
func Pending(ctx context.Context, dsn string) (bool, error) {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return false, wrap(err)
	}
	defer db.Close()
	provider, err := open(db)
	if err != nil {
		return false, wrap(err)
	}
	pending, err := provider.HasPending(ctx)
	return pending, wrap(err)
}

func open(db *sql.DB) (*goose.Provider, error) {
	locker, err := lock.NewPostgresTableLocker(
		lock.WithTableName("poller_migrations_lock"),
		lock.WithTableLeaseDuration(10*time.Second),
		lock.WithTableHeartbeatInterval(3*time.Second))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName("poller_migrations"), goose.WithLocker(locker), goose.WithDisableGlobalRegistry(true))
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("migrate: %w", err)
}
