package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// Range is a range of the ledger with a choice of its events.
type Range struct {
	*Past
	Choice Choice
	// Until is when its last event was recorded; zero where that is not known.
	Until time.Time
}

// Page is [Past.Page] with the choice.
func (r Range) Page(ctx context.Context, behind presence.Cursor, last int64) (events []presence.Event, end presence.Cursor, erased int64, err error) {
	return r.Past.Page(ctx, behind, last, r.Until, r.Choice)
}

// SnapshotUpTo returns the newest snapshot that knows of no event behind seq;
// found is false where there is none.
func (p *Past) SnapshotUpTo(ctx context.Context, seq int64) (s presence.Snapshot, found bool, err error) {
	s, found, err = p.snapshot(ctx, `seq <= $2 order by sweep desc`, seq)
	if err != nil {
		return s, false, fmt.Errorf("read the snapshot of app %d at event %d: %w", p.ledger.app, seq, err)
	}
	return s, found, nil
}

// SnapshotFrom returns the oldest snapshot that knows of the event seq; found is
// false where there is none.
func (p *Past) SnapshotFrom(ctx context.Context, seq int64) (s presence.Snapshot, found bool, err error) {
	s, found, err = p.snapshot(ctx, `seq >= $2 order by sweep`, seq)
	if err != nil {
		return s, false, fmt.Errorf("read the snapshot of app %d from event %d on: %w", p.ledger.app, seq, err)
	}
	return s, found, nil
}

// CountSnapshots counts the kept snapshots from one sweep to another, both
// included.
func (p *Past) CountSnapshots(ctx context.Context, first, last int64) (n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = p.db.QueryRow(ctx, `select count(*) from snapshots where app_id = $1 and sweep between $2 and $3`, int64(p.ledger.app), first, last).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the snapshots of app %d from sweep %d to %d: %w", p.ledger.app, first, last, err)
	}
	return n, nil
}

// LastSeen returns when the newest kept sweep began, up to a given one, in which
// each of some users was not missed. Who was missed in all of them is left out.
func (p *Past) LastSeen(ctx context.Context, sweep int64, users []uint32) (map[uint32]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	signed := make([]int32, len(users))
	for i, no := range users {
		signed[i] = int32(no)
	}
	rows, err := p.db.Query(ctx, `
		select u.no, s.started
		  from unnest($3::int[]) u (no)
		 cross join lateral (select n.started
		                       from snapshots n
		                      where n.app_id = $1 and n.sweep <= $2 and not n.missed @> u.no
		                      order by n.sweep desc
		                      limit 1) s`, int64(p.ledger.app), sweep, signed)
	if err != nil {
		return nil, fmt.Errorf("look when users of app %d were last seen: %w", p.ledger.app, err)
	}
	seen := make(map[uint32]time.Time, len(users))
	var no uint32
	var started time.Time
	if _, err := pgx.ForEachRow(rows, []any{&no, &started}, func() error { seen[no] = started.UTC(); return nil }); err != nil {
		return nil, fmt.Errorf("look when users of app %d were last seen: %w", p.ledger.app, err)
	}
	return seen, nil
}
