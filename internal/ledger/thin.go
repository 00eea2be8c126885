package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Thinned is a class of one app's snapshots, by age.
type Thinned struct {
	App     uint32
	Class   string // too old, daily, hourly, every sweep, or needed: whatever its age
	Kept    int64
	Dropped int64  // or would be
	Bytes   int64  // of those
	Held    string // why none is dropped that could be; empty: nothing stands in the way
}

// thin drops snapshots of each app in turn, the oldest first, some at a time.
func (l *Ledger) thin(ctx context.Context, keep Retention, dry bool, done *Pruned) error {
	apps, err := l.apps(ctx)
	if err != nil {
		return err
	}
	for _, app := range apps {
		classes, err := l.thinApp(ctx, app, keep, dry)
		done.Snapshots = append(done.Snapshots, classes...)
		if err != nil {
			return fmt.Errorf("drop snapshots of app %d: %w", app, err)
		}
	}
	return nil
}

func (l *Ledger) apps(ctx context.Context) ([]uint32, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := l.pool.Query(ctx, `select app_id from apps order by app_id`)
	if err != nil {
		return nil, fmt.Errorf("read which apps there are: %w", err)
	}
	apps, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (uint32, error) {
		var app int64
		err := row.Scan(&app)
		return uint32(app), err
	})
	if err != nil {
		return nil, fmt.Errorf("read which apps there are: %w", err)
	}
	return apps, nil
}

// thinApp goes on until nothing more is dropped.
func (l *Ledger) thinApp(ctx context.Context, app uint32, keep Retention, dry bool) ([]Thinned, error) {
	var sum []Thinned
	for {
		var classes []Thinned
		err := insist(ctx, func() (err error) {
			classes, err = l.thinSome(ctx, app, keep, dry)
			return err
		})
		if err != nil {
			return sum, err
		}
		sum = added(sum, classes)
		if dry || !slices.ContainsFunc(classes, func(c Thinned) bool { return c.Dropped > 0 }) {
			return sum, nil
		}
	}
}

// added adds one turn to those before: what it dropped comes on top, what it kept
// is what is left.
func added(sum, turn []Thinned) []Thinned {
	for i := range sum {
		sum[i].Kept = 0
	}
	for _, c := range turn {
		i := slices.IndexFunc(sum, func(s Thinned) bool { return s.Class == c.Class })
		if i < 0 {
			sum = append(sum, c)
			continue
		}
		c.Dropped += sum[i].Dropped
		c.Bytes += sum[i].Bytes
		sum[i] = c
	}
	return sum
}

func (l *Ledger) thinSome(ctx context.Context, app uint32, keep Retention, dry bool) ([]Thinned, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	rows, err := l.pool.Query(ctx, `
		select class, kept, dropped, byte_count, coalesce(held, '')
		  from thin_snapshots($1, $2, $3, $4, $5)`, int64(app), keep.EverySweep, keep.Hourly, keep.Snapshots, dry)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Thinned, error) {
		c := Thinned{App: app}
		err := row.Scan(&c.Class, &c.Kept, &c.Dropped, &c.Bytes, &c.Held)
		return c, err
	})
}
