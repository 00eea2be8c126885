package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// snapshotsWalked bounds how far back a load looks for a sweep in which a user
// was not missed; beyond it the row's own time is the bound.
const snapshotsWalked = 100

// Loaded is a watched user as the ledger knows it.
type Loaded struct {
	// State has in Since and ObservedAt when the user's status and what is known of
	// it last changed; no later event of the user is observed before.
	State presence.State
	// Answered is the latest moment behind which the user is known to have been
	// answered, whatever the answer was: when the row's own request left, or the start
	// of the newest complete sweep that did not miss the user. It is zero for who was
	// never answered, and for who has gone stale.
	Answered time.Time
	// Seen is the latest moment at which the user is known to have been in that state:
	// Answered, or, of whom a change is held, the After of that, since the answers
	// behind it said otherwise.
	Seen time.Time
	// Held is the change that waits to be confirmed; nil for none.
	Held *presence.Held
}

// Load yields every watched user. The first error of yield ends the load and is
// returned as it is.
func (l *Lease) Load(ctx context.Context, yield func(Loaded) error) error {
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

func (l *Lease) loadStates(ctx context.Context, seen sightings, yield func(Loaded) error) error {
	rows, err := l.ledger.pool.Query(ctx, `
		select u.user_no, u.user_id, u.stale, u.status, u.detail, u.since, u.observed_at, u.asked_at, u.last_seq,
		       h.status, h.detail, h.after, h.seen_at
		  from user_states u
		  left join held_changes h on h.app_id = u.app_id and h.user_no = u.user_no
		 where u.app_id = $1 and u.watched`, int64(l.ledger.app))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		user, err := scanLoaded(rows, seen)
		if err != nil {
			return err
		}
		if err := yield(user); err != nil {
			return err
		}
	}
	return rows.Err()
}

func scanLoaded(row pgx.CollectableRow, seen sightings) (user Loaded, err error) {
	s := &user.State
	s.Watched = true
	var status, detail string
	var to, in *string
	var since, observed, asked, after, seenAt *time.Time
	err = row.Scan(&s.User.No, &s.User.ID, &s.Stale, &status, &detail, &since, &observed, &asked, &s.LastSeq, &to, &in, &after, &seenAt)
	if err != nil {
		return user, err
	}
	if s.Status, s.Detail, err = readStatus(status, detail); err != nil {
		return user, fmt.Errorf("user %d: %w", s.User.No, err)
	}
	s.Since, s.ObservedAt = orZero(since), orZero(observed)
	if s.Status == presence.Unknown {
		return user, nil
	}
	if asked != nil {
		s.AskedAt = asked.UTC()
		user.Answered = seen.of(s.User.No, s.AskedAt)
		user.Seen = user.Answered
	}
	if to != nil {
		h := presence.Held{User: s.User, After: after.UTC(), SeenAt: seenAt.UTC()}
		if h.To, h.Detail, err = readStatus(*to, *in); err != nil {
			return user, fmt.Errorf("the held change of user %d: %w", s.User.No, err)
		}
		user.Seen, user.Held = h.After, &h
	}
	return user, nil
}

func readStatus(status, detail string) (s presence.Status, d presence.Detail, err error) {
	if s, err = presence.ParseStatus(status); err != nil {
		return s, d, err
	}
	d, err = presence.ParseDetail(detail)
	return s, d, err
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
