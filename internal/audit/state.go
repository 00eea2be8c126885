package audit

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// standing is a row of the state, and whether its user is on the watchlist.
type standing struct {
	user, status, detail string
	since                *time.Time
	lastSeq              int64
	watched, listed      bool
}

// readState holds the state against the fold of the ledger, and against the truth.
func (a Audit) readState(ctx context.Context, b *book, r *Report) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := a.DB.Query(ctx, `
		select u.user_id, u.status, u.detail, u.since, u.last_seq, u.watched, w.user_id is not null
		  from user_states u
		  left join watched_users w on w.app_id = u.app_id and w.user_id = u.user_id
		 where u.app_id = $1`, int64(a.App))
	if err != nil {
		return err
	}
	found := 0
	var s standing
	_, err = pgx.ForEachRow(rows, []any{&s.user, &s.status, &s.detail, &s.since, &s.lastSeq, &s.watched, &s.listed}, func() error {
		if _, told := b.chains[s.user]; told {
			found++
		}
		a.judge(s, b, r)
		return nil
	})
	if err != nil {
		return err
	}
	if found < len(b.chains) {
		r.add(State, "user_states", "%d users have events and no state", len(b.chains)-found)
	}
	return a.readUnknown(ctx, r)
}

// judge judges one row.
func (a Audit) judge(s standing, b *book, r *Report) {
	last := b.chains[s.user]
	if s.status != last.to.String() || s.lastSeq != last.seq {
		r.add(State, s.user, "the state of %q is %s by event %d, the events say %s by event %d", s.user, s.status, s.lastSeq, last.to, last.seq)
	} else if s.since != nil && s.since.UnixMicro() != last.observed {
		r.add(State, s.user, "the state of %q is since %s, event %d was observed at %s", s.user,
			s.since.Format(time.RFC3339Nano), last.seq, time.UnixMicro(last.observed).Format(time.RFC3339Nano))
	}
	if s.watched != s.listed && presence.CheckUserID(s.user) == nil {
		r.add(State, s.user, "%q counts as watched: %v; is on the watchlist: %v", s.user, s.watched, s.listed)
	}
	if !s.listed {
		return
	}
	r.Watched++
	if a.Truth == nil {
		return
	}
	status, detail, known := a.Truth(s.user)
	if !known {
		return
	}
	r.Held++
	if s.status != status.String() || s.detail != detail.String() {
		r.add(Truth, s.user, "the state of %q is %s %s, the truth is %s %s", s.user, s.status, s.detail, status, detail)
	}
}

// readUnknown finds users of the watchlist of whom nothing is kept.
func (a Audit) readUnknown(ctx context.Context, r *Report) error {
	rows, err := a.DB.Query(ctx, `
		select w.user_id
		  from watched_users w
		 where w.app_id = $1
		   and not exists (select from user_states u where u.app_id = w.app_id and u.user_id = w.user_id)`, int64(a.App))
	if err != nil {
		return err
	}
	var user string
	_, err = pgx.ForEachRow(rows, []any{&user}, func() error {
		if presence.CheckUserID(user) == nil {
			r.add(State, user, "%q is on the watchlist and has no state", user)
		}
		return nil
	})
	return err
}
