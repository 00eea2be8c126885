package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Extent is how far back, and up to where, the past of an app can be read. What
// is not there is zero.
type Extent struct {
	// Newest is the newest event.
	Newest int64
	// PrunedSeq is the newest event that retention has dropped, 0 for none; what
	// was recorded from PrunedUntil on is there.
	PrunedSeq   int64
	PrunedUntil time.Time
	// First is the oldest event that is there.
	First         int64
	FirstRecorded time.Time
	// FirstSweep is the oldest snapshot; LastFinished is of the newest.
	FirstSweep                  int64
	FirstFinished, LastFinished time.Time
}

// Extent reads how far the past reaches.
func (p *Past) Extent(ctx context.Context) (e Extent, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var pruned, recorded, first, last *time.Time
	err = p.db.QueryRow(ctx, `
		select a.last_seq, a.pruned_seq, nullif(a.pruned_until, '-infinity'), coalesce(t.seq, 0), t.recorded_at,
		       coalesce(f.sweep, 0), f.finished, l.finished
		  from apps a
		  left join lateral (select seq, recorded_at
		                       from transitions
		                      where app_id = $1 and recorded_at >= a.pruned_until
		                      order by seq
		                      limit 1) t on true
		  left join lateral (select sweep, finished from snapshots where app_id = $1 order by sweep limit 1) f on true
		  left join lateral (select finished from snapshots where app_id = $1 order by sweep desc limit 1) l on true
		 where a.app_id = $1`, int64(p.ledger.app)).Scan(&e.Newest, &e.PrunedSeq, &pruned, &e.First, &recorded,
		&e.FirstSweep, &first, &last)
	if errors.Is(err, pgx.ErrNoRows) {
		return Extent{}, nil
	}
	if err != nil {
		return Extent{}, fmt.Errorf("read how far the past of app %d reaches: %w", p.ledger.app, err)
	}
	e.PrunedUntil, e.FirstRecorded = orZero(pruned), orZero(recorded)
	e.FirstFinished, e.LastFinished = orZero(first), orZero(last)
	return e, nil
}

// Told returns the newest event that is known to have been told; 0 for none. What
// is behind it may be dropped by an adoption, and its ids go to other events.
func (p *Past) Told(ctx context.Context) (seq int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = p.db.QueryRow(ctx, `select coalesce(max(told_seq), 0) from relay_cursors where app_id = $1`, int64(p.ledger.app)).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("read how far app %d has been told: %w", p.ledger.app, err)
	}
	return seq, nil
}

// orZero is the inverse of orNull.
func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
