package ledger

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/zim-presence/poller/presence"
)

// missedRanges is a set of user numbers as Postgres keeps it.
type missedRanges = pgtype.Multirange[pgtype.Range[pgtype.Int4]]

// SaveSnapshot writes the state of everybody at the end of a sweep: one row. The
// app's row learns of the sweep, so that its number is never used again, also
// when who takes the lease meanwhile cannot see the snapshot yet. [ErrFenced] as
// in [Lease.Commit].
func (l *Lease) SaveSnapshot(ctx context.Context, s presence.Snapshot) error {
	ctx, cancel := context.WithTimeout(ctx, l.patience())
	defer cancel()
	tag, err := l.ledger.pool.Exec(ctx, `
		with fence as (
		    update apps
		       set last_sweep = greatest(last_sweep, $3)
		     where app_id = $1 and epoch = $2 and owner = $15 and last_seq = $16
		    returning app_id
		)
		insert into snapshots (app_id, sweep, started, finished, seq, watched, seen, missed_count, transitions, requests,
		                       online, known, missed)
		select app_id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 from fence`,
		int64(l.ledger.app), l.epoch, s.Sweep, s.Started, s.Finished, s.Seq, s.Watched, s.Seen, len(s.Missed), s.Transitions,
		s.Requests, s.Online, s.Known, ranges(s.Missed), l.terms.Owner, l.lastSeq)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrFenced
	}
	if err != nil {
		return fmt.Errorf("save the snapshot of sweep %d of app %d: %w", s.Sweep, l.ledger.app, err)
	}
	return nil
}

// ranges joins ascending numbers into half-open runs.
func ranges(ascending []uint32) missedRanges {
	runs := missedRanges{}
	for i := 0; i < len(ascending); {
		first, next := ascending[i], ascending[i]
		for ; i < len(ascending) && ascending[i] == next; i++ {
			next++
		}
		runs = append(runs, pgtype.Range[pgtype.Int4]{
			Lower: pgtype.Int4{Int32: int32(first), Valid: true}, LowerType: pgtype.Inclusive,
			Upper: pgtype.Int4{Int32: int32(next), Valid: true}, UpperType: pgtype.Exclusive,
			Valid: true,
		})
	}
	return runs
}
