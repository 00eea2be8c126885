package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pace is how fast an app changes, and what its sweeps take.
type Pace struct {
	// Changes were recorded in the time For: users who came online or went offline.
	// Both are zero where no sweep ended in that time.
	Changes int64
	For     time.Duration
	// Sweep, Took and Requests are of the newest complete sweep; zero for none.
	Sweep    int64
	Took     time.Duration
	Requests int
}

// Pace reads how many changes were recorded within back of now, or since the oldest
// sweep whose snapshot is kept from that time.
func (p *Past) Pace(ctx context.Context, back time.Duration) (pace Pace, err error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	var lasted float64
	err = p.db.QueryRow(ctx, `
		with since as (select min(started) as at
		                 from snapshots
		                where app_id = $1 and started >= clock_timestamp() - $2::interval)
		select coalesce(extract(epoch from clock_timestamp() - since.at), 0),
		       (select count(*)
		          from transitions
		         where app_id = $1 and kind in ('online', 'offline') and recorded_at >= since.at)
		  from since`, int64(p.ledger.app), back).Scan(&lasted, &pace.Changes)
	if err != nil {
		return Pace{}, fmt.Errorf("count the changes of app %d: %w", p.ledger.app, err)
	}
	pace.For = time.Duration(max(0, lasted) * float64(time.Second))
	err = p.db.QueryRow(ctx, `
		select sweep, extract(epoch from finished - started), requests
		  from snapshots
		 where app_id = $1
		 order by sweep desc
		 limit 1`, int64(p.ledger.app)).Scan(&pace.Sweep, &lasted, &pace.Requests)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Pace{}, fmt.Errorf("read the newest snapshot of app %d: %w", p.ledger.app, err)
	}
	if err == nil {
		pace.Took = time.Duration(max(0, lasted) * float64(time.Second))
	}
	return pace, nil
}
