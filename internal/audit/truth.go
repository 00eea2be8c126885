package audit

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// Change is a true change of a user's status.
type Change struct {
	At time.Time
	To presence.Status
}

// happened tells whether what an event tells did happen when it says.
func (a *Audit) happened(e *presence.Event) bool {
	if a.Changes == nil || e.Kind != presence.KindOnline && e.Kind != presence.KindOffline {
		return true
	}
	return slices.ContainsFunc(a.Changes(e.User.ID), func(c Change) bool {
		return c.To == e.To && c.At.After(e.After.Add(-a.Slack)) && !c.At.After(e.ObservedAt.Add(a.Slack))
	})
}

// readWatchlist holds the state against the watchlist and against the truth. It
// is right while nothing runs: else the watchlist is ahead.
func (it *inspection) readWatchlist(ctx context.Context) error {
	rows, err := it.kept.tx.Query(ctx, `
		select coalesce(w.user_id, u.user_id), coalesce(u.status, ''), coalesce(u.detail, ''), u.user_id is not null, coalesce(u.watched, false),
		       w.user_id is not null
		  from (select user_id from watched_users where app_id = $1) w
		  full join (select user_id, status, detail, watched from user_states where app_id = $1) u on u.user_id = w.user_id`, int64(it.App))
	if err != nil {
		return err
	}
	var s standing
	var kept, listed bool
	_, err = pgx.ForEachRow(rows, []any{&s.user, &s.status, &s.detail, &kept, &s.watched, &listed}, func() error {
		legal := presence.CheckUserID(s.user) == nil
		switch {
		case legal && !kept:
			it.report.add(State, s.user, "%q is on the watchlist and has no state", s.user)
			return nil
		case legal && s.watched != listed:
			it.report.add(State, s.user, "%q counts as watched: %v; is on the watchlist: %v", s.user, s.watched, listed)
		}
		if kept && listed {
			it.report.Watched++
			it.holdTrue(&s)
		}
		return nil
	})
	return err
}

// holdTrue holds a watched user's state against the truth.
func (it *inspection) holdTrue(s *standing) {
	if it.Truth == nil {
		return
	}
	status, detail, known := it.Truth(s.user)
	if !known {
		return
	}
	it.report.Held++
	if s.status != status.String() || s.detail != detail.String() {
		it.report.add(Truth, s.user, "the state of %q is %s %s, the truth is %s %s", s.user, s.status, s.detail, status, detail)
	}
}
