package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Retention says how long the past is kept. All are a day or longer, and those of
// snapshots ascend.
type Retention struct {
	// Transitions are kept for this long, in whole days (UTC).
	Transitions time.Duration
	// EverySweep is for how long each snapshot is kept, Hourly for how long the
	// last of each hour, Snapshots for how long the last of each day.
	EverySweep, Hourly, Snapshots time.Duration
}

// Pruned says what was dropped, or would be, and what is kept although it is old.
type Pruned struct {
	// Days are those older than the age, the oldest first.
	Days []PrunedDay
	// Snapshots are the classes of each app, the oldest first.
	Snapshots []Thinned
}

// PrunedDay is a partition of the ledger, of all apps.
type PrunedDay struct {
	Day     time.Time
	Part    string
	Rows    int64
	Bytes   int64  // on disk, with its index
	Dropped bool   // false in a dry run
	Kept    string // why it is not dropped; empty: it is, or would be
}

// The deadlines of a prune.
const (
	pruneTries = 3
	prunePause = 500 * time.Millisecond // before it tries again for a lock
)

// Prune drops what is past its age, of all apps: whole days of the ledger, and
// snapshots between those that are kept. With dry it only looks. What is still
// needed the database itself keeps, and the report says why: events that were not
// told, a replay that has moved within 7 days, the state at the ledger's
// beginning. On an error it holds what was done before.
//
// A drop waits shortly for locks, so that commits need not wait long behind it;
// one that does not get them is an error, and can be tried again. Several
// programs may prune at once. It needs no lease.
func (l *Ledger) Prune(ctx context.Context, keep Retention, dry bool) (Pruned, error) {
	var done Pruned
	err := l.pruneDays(ctx, keep.Transitions, dry, &done)
	if thinned := l.thin(ctx, keep, dry, &done); err == nil {
		err = thinned
	}
	return done, err
}

// pruneDays drops one day after the other: each is a transaction of its own, that
// locks out everybody for a moment.
func (l *Ledger) pruneDays(ctx context.Context, keep time.Duration, dry bool, done *Pruned) error {
	for {
		var days []PrunedDay
		err := insist(ctx, func() (err error) {
			days, err = l.pruneDay(ctx, keep, dry)
			return err
		})
		if err != nil {
			return fmt.Errorf("drop the oldest days of the ledger: %w", err)
		}
		done.Days = append(done.Days, days...)
		if len(days) == 0 || !days[len(days)-1].Dropped {
			return nil
		}
	}
}

func (l *Ledger) pruneDay(ctx context.Context, keep time.Duration, dry bool) ([]PrunedDay, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	rows, err := l.pool.Query(ctx, `
		select day, part, row_count, byte_count, dropped, coalesce(kept, '')
		  from prune_transitions($1, $2)`, keep, dry)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (PrunedDay, error) {
		var d PrunedDay
		err := row.Scan(&d.Day, &d.Part, &d.Rows, &d.Bytes, &d.Dropped, &d.Kept)
		d.Day = d.Day.UTC()
		return d, err
	})
}

// insist tries again what did not get a lock.
func insist(ctx context.Context, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		if !locked(err) || n == pruneTries {
			return err
		}
		select {
		case <-time.After(prunePause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// locked tells whether a lock was not to be had.
func locked(err error) bool {
	const lockNotAvailable, deadlockDetected = "55P03", "40P01"
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == lockNotAvailable || pg.Code == deadlockDetected)
}

// Oldest returns the first day (UTC) that the ledger has a partition for; zero
// for none.
func (l *Ledger) Oldest(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var day *time.Time
	err := l.pool.QueryRow(ctx, `
		select min(substring(pg_get_expr(c.relpartbound, c.oid) from 'FROM \(''([^'']+)''\)')::timestamptz)
		  from pg_inherits i
		  join pg_class c on c.oid = i.inhrelid
		 where i.inhparent = 'transitions'::regclass`).Scan(&day)
	if err != nil {
		return time.Time{}, fmt.Errorf("look for the beginning of the ledger: %w", err)
	}
	if day == nil {
		return time.Time{}, nil
	}
	return day.UTC(), nil
}
