package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/zim-presence/poller/presence"
)

// snapshotsWalked bounds how far back a load looks for a sweep in which a user
// was not missed; beyond it the row's own time is the bound.
const snapshotsWalked = 100

// Load yields every watched user with the latest moment at which it is known to
// have been in its state: the row's own, or the start of the newest complete
// sweep that did not miss the user. It is zero for who was never answered. The
// first error of yield ends the load and is returned as it is.
func (l *Lease) Load(ctx context.Context, yield func(s presence.State, seen time.Time) error) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	seen, err := l.sightings(ctx)
	if err != nil {
		return fmt.Errorf("load the snapshots of app %d: %w", l.ledger.app, err)
	}
	if err := l.loadStates(ctx, seen, yield); err != nil {
		return fmt.Errorf("load the state of app %d: %w", l.ledger.app, err)
	}
	return nil
}

func (l *Lease) loadStates(ctx context.Context, seen sightings, yield func(presence.State, time.Time) error) error {
	rows, err := l.ledger.pool.Query(ctx, `
		select user_no, user_id, status, detail, asked_at, last_seq
		  from user_states
		 where app_id = $1 and watched`, int64(l.ledger.app))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		s := presence.State{Watched: true}
		var status, detail string
		var asked *time.Time
		if err := rows.Scan(&s.User.No, &s.User.ID, &status, &detail, &asked, &s.LastSeq); err != nil {
			return err
		}
		if s.Status, err = presence.ParseStatus(status); err != nil {
			return fmt.Errorf("user %d: %w", s.User.No, err)
		}
		if s.Detail, err = presence.ParseDetail(detail); err != nil {
			return fmt.Errorf("user %d: %w", s.User.No, err)
		}
		var bound time.Time
		if asked != nil && s.Status != presence.Unknown {
			s.AskedAt = asked.UTC()
			bound = seen.of(s.User.No, s.AskedAt)
		}
		if err := yield(s, bound); err != nil {
			return err
		}
	}
	return rows.Err()
}

// sightings are the newest complete sweeps, newest first.
type sightings []sighting

type sighting struct {
	started time.Time
	missed  *roaring.Bitmap
}

// of returns the start of the newest sweep that saw the user, or asked if that
// is later. A sweep before asked says nothing that asked does not.
func (s sightings) of(no uint32, asked time.Time) time.Time {
	for _, sweep := range s {
		if !sweep.started.After(asked) {
			break
		}
		if !sweep.missed.Contains(no) {
			return sweep.started
		}
	}
	return asked
}

// sightings reads snapshots back to the one behind which nobody is left who
// was missed in all of them.
func (l *Lease) sightings(ctx context.Context) (sightings, error) {
	rows, err := l.ledger.pool.Query(ctx, `
		select started, missed
		  from snapshots
		 where app_id = $1
		 order by sweep desc
		 limit $2`, int64(l.ledger.app), snapshotsWalked)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var seen sightings
	var missedInAll *roaring.Bitmap
	for rows.Next() && (missedInAll == nil || !missedInAll.IsEmpty()) {
		var started time.Time
		var missed missedRanges
		if err := rows.Scan(&started, &missed); err != nil {
			return nil, err
		}
		s := sighting{started.UTC(), bitmap(missed)}
		if missedInAll == nil {
			missedInAll = s.missed.Clone()
		}
		missedInAll.And(s.missed)
		seen = append(seen, s)
	}
	rows.Close()
	return seen, rows.Err()
}

func bitmap(runs missedRanges) *roaring.Bitmap {
	b := roaring.New()
	for _, run := range runs {
		b.AddRange(uint64(run.Lower.Int32), uint64(run.Upper.Int32))
	}
	return b
}
