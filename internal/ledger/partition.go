package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// partitionsAhead is how many days beyond today have a partition.
const partitionsAhead = 7

// EnsurePartitions makes the ledger's partitions of today and of the next seven
// days by the database's clock, as far as they are missing. Each is made aside
// and then attached, which locks out nobody who reads or writes the ledger.
// Programs that call it at once wait for each other.
func (l *Ledger) EnsurePartitions(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	missing, err := l.missingPartitions(ctx, l.pool)
	if err != nil || len(missing) == 0 {
		return wrapPartitions(err)
	}
	return wrapPartitions(pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtext('poller partitions'))`); err != nil {
			return err
		}
		missing, err := l.missingPartitions(ctx, tx)
		if err != nil {
			return err
		}
		for _, day := range missing {
			if err := attachPartition(ctx, tx, day); err != nil {
				return fmt.Errorf("%s: %w", day.Format(time.DateOnly), err)
			}
		}
		return nil
	}))
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func (l *Ledger) missingPartitions(ctx context.Context, q querier) ([]time.Time, error) {
	rows, err := q.Query(ctx, `
		select day::date
		  from generate_series((clock_timestamp() at time zone 'UTC')::date,
		                       (clock_timestamp() at time zone 'UTC')::date + $1::int, '1 day') day
		 where not exists (select
		                     from pg_inherits i
		                     join pg_class c on c.oid = i.inhrelid
		                    where i.inhparent = 'transitions'::regclass and c.relname = 'transitions_' || to_char(day, 'YYYYMMDD'))
		 order by day`, partitionsAhead)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[time.Time])
}

// attachPartition builds its statements from a date alone: DDL takes no
// parameters.
func attachPartition(ctx context.Context, tx pgx.Tx, day time.Time) error {
	name := "transitions_" + day.Format("20060102")
	from, to := day.Format(time.DateOnly), day.AddDate(0, 0, 1).Format(time.DateOnly)
	for _, statement := range []string{
		`create table ` + name + ` (like transitions including defaults including constraints)`,
		`alter table transitions attach partition ` + name +
			` for values from ('` + from + ` 00:00+00') to ('` + to + ` 00:00+00')`,
	} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func wrapPartitions(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("make partitions of the ledger: %w", err)
}
