package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// enrollSQL numbers the ids that are new and marks the others as watched again.
// Both look at the state as it was before the statement, which nobody else can
// change: writing it takes the fence.
const enrollSQL = `
with fresh as (
    select a.id, row_number() over (order by a.place) as n
      from unnest($3::text[]) with ordinality as a(id, place)
     where not exists (select from user_states u where u.app_id = $1 and u.user_id = a.id)
), fence as (
    update apps
       set last_user_no = last_user_no + (select count(*) from fresh)
     where app_id = $1 and epoch = $2 and owner = $4 and last_user_no = $5
    returning last_user_no - (select count(*) from fresh) as before
), added as (
    insert into user_states (app_id, user_no, user_id)
    select $1, fence.before + fresh.n, fresh.id from fence, fresh
    returning user_no, user_id, since, observed_at, last_seq
), again as (
    update user_states u
       set watched = true
      from fence, unnest($3::text[]) as a(id)
     where u.app_id = $1 and u.user_id = a.id
    returning u.user_no, u.user_id, u.since, u.observed_at, u.last_seq
)
select user_no, user_id, since, observed_at, last_seq from added
union all
select user_no, user_id, since, observed_at, last_seq from again`

// Enroll takes newly watched users into the state, status unknown, and returns
// them in no certain order, with their numbers and the events that they may
// have had before: the newest, and when it was observed. The ids must be distinct. [ErrFenced] as in [Lease.Commit];
// also when the database has forgotten a number that was given, as after the
// promotion of a standby that was behind.
func (l *Lease) Enroll(ctx context.Context, ids []string) ([]presence.State, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience())
	defer cancel()
	states, err := l.enroll(ctx, ids)
	if err == nil && len(states) == 0 {
		err = ErrFenced
	}
	for _, s := range states {
		l.lastUserNo = max(l.lastUserNo, int32(s.User.No))
	}
	if err != nil {
		return nil, fmt.Errorf("enroll %d users of app %d: %w", len(ids), l.ledger.app, err)
	}
	return states, nil
}

func (l *Lease) enroll(ctx context.Context, ids []string) ([]presence.State, error) {
	rows, err := l.ledger.pool.Query(ctx, enrollSQL, int64(l.ledger.app), l.epoch, ids, l.terms.Owner, l.lastUserNo)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (presence.State, error) {
		s := presence.State{Watched: true}
		var since, observed *time.Time
		err := row.Scan(&s.User.No, &s.User.ID, &since, &observed, &s.LastSeq)
		s.Since, s.ObservedAt = orZero(since), orZero(observed)
		return s, err
	})
}
