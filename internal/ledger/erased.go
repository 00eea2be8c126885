package ledger

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/zim-presence/poller/presence"
)

// eventRanges is a set of event numbers as Postgres keeps it.
type eventRanges = pgtype.Multirange[pgtype.Range[pgtype.Int8]]

// Untold returns the events that were erased, of whomever, and that the control
// stream has not been told yet.
func (l *Ledger) Untold(ctx context.Context) (presence.SeqSet, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := l.pool.Query(ctx, `select untold from erasures where app_id = $1 and not isempty(untold)`, int64(l.app))
	if err != nil {
		return nil, fmt.Errorf("read what was erased of app %d: %w", l.app, err)
	}
	var untold presence.SeqSet
	var some eventRanges
	_, err = pgx.ForEachRow(rows, []any{&some}, func() error {
		for _, run := range some {
			untold = untold.Union(presence.SeqSet{{First: run.Lower.Int64, Last: run.Upper.Int64 - 1}})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what was erased of app %d: %w", l.app, err)
	}
	return untold, nil
}

// ErasedTold notes that the control stream has been told of these.
func (l *Ledger) ErasedTold(ctx context.Context, told presence.SeqSet) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	_, err := l.pool.Exec(ctx, `update erasures set untold = untold - $2::int8multirange where app_id = $1 and untold && $2::int8multirange`, int64(l.app), seqRanges(told))
	if err != nil {
		return fmt.Errorf("note what was told as erased of app %d: %w", l.app, err)
	}
	return nil
}

// seqRanges writes a set as half-open runs.
func seqRanges(set presence.SeqSet) eventRanges {
	runs := eventRanges{}
	for _, run := range set {
		runs = append(runs, pgtype.Range[pgtype.Int8]{
			Lower: pgtype.Int8{Int64: run.First, Valid: true}, LowerType: pgtype.Inclusive,
			Upper: pgtype.Int8{Int64: run.Last + 1, Valid: true}, UpperType: pgtype.Exclusive,
			Valid: true,
		})
	}
	return runs
}
