package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// Explained is what the database knows of one user, at one moment.
type Explained struct {
	// Added is when the user came to the watchlist; zero where it is not on it.
	Added time.Time
	// Known tells whether a sweep has ever found the user in the watchlist; State is
	// empty, and has a user without a number, where none has.
	Known bool
	State presence.State
	// Seen is the newest moment at which the user is known to have been in the told
	// status, as the view presence has it; zero where nobody ever answered.
	Seen time.Time
	// Held is the change that waits to be confirmed; nil for none.
	Held *presence.Held
	// Events are the user's newest, the newest first. Older tells that there are
	// more, Dropped that the next one is not in the ledger any more.
	Events         []presence.Event
	Older, Dropped bool
	// Sweeps are the newest complete ones, the newest first.
	Sweeps []SweepOf
	// Holder has the lease; zero where nobody has.
	Holder Holder
	// Newest is the app's newest event, Told how far is told as far as is known here.
	Newest int64
	Told   presence.Cursor
}

// SweepOf is one complete sweep, as it was for one user.
type SweepOf struct {
	Sweep             int64
	Started, Finished time.Time
	// Seen is how many users were answered.
	Seen int
	// Missed tells that there was no answer about the user.
	Missed bool
}

// Holder is who has a lease, or had it.
type Holder struct {
	Owner   string
	Epoch   int64
	Expires time.Time
}

// sweepsShown is how many sweeps are told of a user.
const sweepsShown = 5

// Explain reads what there is of one user, and at most limit events. Nothing is
// indexed by user in the ledger: the events are followed back by their keys, which
// costs about 0.1 ms for each.
func (p *Past) Explain(ctx context.Context, user string, limit int) (*Explained, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	e := &explaining{Past: p, user: user, app: int64(p.ledger.app), limit: limit}
	for _, step := range []func(context.Context) error{e.lease, e.watchlist, e.state, e.sweeps, e.held, e.events} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("read what is known of a user of app %d: %w", p.ledger.app, err)
		}
	}
	return &e.found, nil
}

// explaining is one reading.
type explaining struct {
	*Past
	user  string
	app   int64
	limit int
	found Explained
}

func (e *explaining) lease(ctx context.Context) error {
	var owner *string
	var expires, created, recorded *time.Time
	var streamSeq int64
	told := &e.found.Told
	err := e.db.QueryRow(ctx, `
		select a.last_seq, a.owner, a.epoch, a.expires_at, coalesce(c.told_seq, 0), coalesce(c.stream_seq, 0), c.stream_created, c.recorded_at
		  from apps a
		  left join relay_cursors c on c.app_id = a.app_id
		 where a.app_id = $1`, e.app).Scan(&e.found.Newest, &owner, &e.found.Holder.Epoch, &expires, &told.Seq, &streamSeq, &created, &recorded)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	told.StreamSeq, told.StreamCreated, told.RecordedAt = uint64(streamSeq), orZero(created), orZero(recorded)
	if owner != nil {
		e.found.Holder.Owner, e.found.Holder.Expires = *owner, orZero(expires)
	}
	return err
}

func (e *explaining) watchlist(ctx context.Context) error {
	err := e.db.QueryRow(ctx, `select added_at from watched_users where app_id = $1 and user_id = $2`, e.app, e.user).Scan(&e.found.Added)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	e.found.Added = e.found.Added.UTC()
	return err
}

func (e *explaining) state(ctx context.Context) error {
	s := &e.found.State
	s.User.ID = e.user
	var status, detail string
	var since, observed, asked *time.Time
	err := e.db.QueryRow(ctx, `
		select user_no, watched, stale, status, detail, since, observed_at, asked_at, last_seq
		  from user_states
		 where app_id = $1 and user_id = $2`, e.app, e.user).
		Scan(&s.User.No, &s.Watched, &s.Stale, &status, &detail, &since, &observed, &asked, &s.LastSeq)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	e.found.Known = true
	s.Since, s.ObservedAt, s.AskedAt = orZero(since), orZero(observed), orZero(asked)
	if s.Status, err = presence.ParseStatus(status); err != nil {
		return err
	}
	s.Detail, err = presence.ParseDetail(detail)
	return err
}

// sweeps reads the newest ones, and bounds by them when the user was seen.
func (e *explaining) sweeps(ctx context.Context) error {
	s := &e.found.State
	e.found.Seen = s.ObservedAt
	rows, err := e.db.Query(ctx, `
		select sweep, started, finished, seen, missed @> $2::int
		  from snapshots
		 where app_id = $1
		 order by sweep desc
		 limit $3`, e.app, int32(s.User.No), snapshotsWalked)
	if err != nil {
		return err
	}
	bounded := !s.Watched || s.Status == presence.Unknown
	var w SweepOf
	_, err = pgx.ForEachRow(rows, []any{&w.Sweep, &w.Started, &w.Finished, &w.Seen, &w.Missed}, func() error {
		w.Started, w.Finished = w.Started.UTC(), w.Finished.UTC()
		if len(e.found.Sweeps) < sweepsShown {
			e.found.Sweeps = append(e.found.Sweeps, w)
		}
		if !bounded && !w.Missed && w.Started.After(s.AskedAt) {
			bounded = true
			e.found.Seen = later(e.found.Seen, w.Started)
		}
		return nil
	})
	return err
}

// held reads the change that waits. What was seen last then is what was seen before
// it.
func (e *explaining) held(ctx context.Context) error {
	h := presence.Held{User: e.found.State.User}
	var status, detail string
	err := e.db.QueryRow(ctx, `
		select status, detail, after, seen_at
		  from held_changes
		 where app_id = $1 and user_no = $2`, e.app, int32(h.User.No)).Scan(&status, &detail, &h.After, &h.SeenAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	h.After, h.SeenAt = h.After.UTC(), h.SeenAt.UTC()
	if h.To, err = presence.ParseStatus(status); err != nil {
		return err
	}
	h.Detail, err = presence.ParseDetail(detail)
	e.found.Held, e.found.Seen = &h, later(e.found.State.ObservedAt, h.After)
	return err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// events follows the user's events back from the newest. The subselects keep the
// planner from reading the ledger as a whole.
func (e *explaining) events(ctx context.Context) error {
	rows, err := e.db.Query(ctx, `
		with recursive walk as (
			select t.seq as at, t.prev_seq as before, t.recorded_at as recorded, 1 as step
			  from (select seq, prev_seq, recorded_at from transitions where app_id = $1 and seq = $2 limit 1) t
			 union all
			select t.seq, t.prev_seq, t.recorded_at, w.step + 1
			  from walk w
			 cross join lateral (select seq, prev_seq, recorded_at
			                       from transitions
			                      where app_id = $1 and seq = w.before and recorded_at <= w.recorded
			                      limit 1) t
			 where w.before between 1 and w.at - 1 and w.step < $3)
		select `+eventColumns+`
		  from walk
		 cross join lateral (select * from transitions n where n.app_id = $1 and n.seq = walk.at and n.recorded_at = walk.recorded) t
		 order by step`, e.app, e.found.State.LastSeq, e.limit+1)
	if err != nil {
		return err
	}
	if e.found.Events, err = pgx.CollectRows(rows, e.ledger.scanEvent); err != nil {
		return err
	}
	missing := e.found.State.LastSeq
	if n := len(e.found.Events); n > 0 {
		missing = e.found.Events[n-1].PrevSeq
	}
	e.found.Older = len(e.found.Events) > e.limit
	e.found.Dropped = !e.found.Older && missing > 0
	e.found.Events = e.found.Events[:min(e.limit, len(e.found.Events))]
	return nil
}
