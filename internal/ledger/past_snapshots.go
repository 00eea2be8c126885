package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

const snapshotColumns = `sweep, started, finished, seq, watched, seen, transitions, requests, online, known, missed`

// snapshotsRead is how many snapshots one statement reads: of 1,000,000 users
// they are some megabytes.
const snapshotsRead = 32

// SnapshotAt returns the newest snapshot that was finished at or before a time;
// found is false where there is none.
func (p *Past) SnapshotAt(ctx context.Context, at time.Time) (s presence.Snapshot, found bool, err error) {
	s, found, err = p.snapshot(ctx, `finished <= $2 order by sweep desc`, at)
	if err != nil {
		return s, false, fmt.Errorf("read the snapshot of app %d at %s: %w", p.ledger.app, at.Format(time.RFC3339Nano), err)
	}
	return s, found, nil
}

// SnapshotBehind returns the oldest snapshot of a later sweep; found is false
// where there is none. Behind 0 is the oldest of all. Behind that of
// [Past.SnapshotAt] is the oldest one that was finished later.
func (p *Past) SnapshotBehind(ctx context.Context, sweep int64) (s presence.Snapshot, found bool, err error) {
	s, found, err = p.snapshot(ctx, `sweep > $2 order by sweep`, sweep)
	if err != nil {
		return s, false, fmt.Errorf("read the snapshot of app %d behind sweep %d: %w", p.ledger.app, sweep, err)
	}
	return s, found, nil
}

// Snapshots yields every snapshot of a later sweep, in order. It ends with the
// newest, or with an error. Nothing is held open while the caller works.
func (p *Past) Snapshots(ctx context.Context, behind int64) iter.Seq2[presence.Snapshot, error] {
	return func(yield func(presence.Snapshot, error) bool) {
		for {
			page, err := p.snapshots(ctx, behind)
			if err != nil {
				yield(presence.Snapshot{}, fmt.Errorf("read the snapshots of app %d behind sweep %d: %w", p.ledger.app, behind, err))
				return
			}
			for _, s := range page {
				if !yield(s, nil) {
					return
				}
				behind = s.Sweep
			}
			if len(page) < snapshotsRead {
				return
			}
		}
	}
}

func (p *Past) snapshots(ctx context.Context, behind int64) ([]presence.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	rows, err := p.db.Query(ctx, `
		select `+snapshotColumns+`
		  from snapshots
		 where app_id = $1 and sweep > $2
		 order by sweep
		 limit $3`, int64(p.ledger.app), behind, snapshotsRead)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanSnapshot)
}

// snapshot reads the first snapshot by a condition and an order.
func (p *Past) snapshot(ctx context.Context, first string, arg any) (presence.Snapshot, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := p.db.Query(ctx, `select `+snapshotColumns+` from snapshots where app_id = $1 and `+first+` limit 1`, int64(p.ledger.app), arg)
	if err != nil {
		return presence.Snapshot{}, false, err
	}
	s, err := pgx.CollectExactlyOneRow(rows, scanSnapshot)
	if errors.Is(err, pgx.ErrNoRows) {
		return presence.Snapshot{}, false, nil
	}
	return s, err == nil, err
}

func scanSnapshot(row pgx.CollectableRow) (s presence.Snapshot, err error) {
	var missed missedRanges
	if err = row.Scan(&s.Sweep, &s.Started, &s.Finished, &s.Seq, &s.Watched, &s.Seen, &s.Transitions, &s.Requests,
		&s.Online, &s.Known, &missed); err != nil {
		return s, err
	}
	s.Started, s.Finished, s.Missed = s.Started.UTC(), s.Finished.UTC(), bitmap(missed).ToArray()
	return s, nil
}
