package audit

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

// Range is which events of an app are looked at. The zero value is all that the
// ledger has. Its state and the bucket are looked at where it has no end.
type Range struct {
	// First and Last are event numbers, both included; 0: no bound.
	First, Last int64
	// Since and Until bound when events were recorded, Until excluded; zero: no
	// bound. An event is in the range where both bounds of a side have it.
	Since, Until time.Time
}

// ends tells whether the range has an end.
func (r Range) ends() bool { return r.Last != 0 || !r.Until.IsZero() }

// begins tells whether the range has a beginning of its own.
func (r Range) begins() bool { return r.First != 0 || !r.Since.IsZero() }

// bounds finds the numbers that the range means. It begins behind what was
// dropped for its age.
func (it *inspection) bounds(ctx context.Context) error {
	k, b := &it.kept, it.book
	b.first, k.end = max(1, k.pruned+1, it.Range.First), math.MaxInt64
	if it.Range.Last != 0 {
		k.end = it.Range.Last
	}
	if !it.Range.Since.IsZero() {
		seq, err := k.bound(ctx, it.App, `select seq from transitions where app_id = $1 and recorded_at >= $2 order by seq limit 1`, it.Range.Since)
		if err != nil {
			return err
		}
		if seq == 0 { // nothing is that young
			seq = k.lastSeq + 1
		}
		b.first = max(b.first, seq)
	}
	if !it.Range.Until.IsZero() {
		seq, err := k.bound(ctx, it.App, `select seq from transitions where app_id = $1 and recorded_at < $2 order by seq desc limit 1`, it.Range.Until)
		if err != nil {
			return err
		}
		k.end = min(k.end, seq) // nothing is that old: 0
	}
	b.first = min(b.first, k.lastSeq+1)
	it.report.Pruned = k.pruned
	return nil
}

func (k *kept) bound(ctx context.Context, app uint32, sql string, at time.Time) (seq int64, err error) {
	err = k.tx.QueryRow(ctx, sql, int64(app), at).Scan(&seq)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return seq, err
}
