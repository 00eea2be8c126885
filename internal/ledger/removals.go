package ledger

import (
	"context"
	"fmt"

	"github.com/zim-presence/poller/presence"
)

// Removals collects what was told, to say before an adoption whom the sweeps after
// it would tell as removed.
type Removals struct {
	newest map[string]newest
}

// newest is the last event of a user that was told.
type newest struct {
	seq     int64
	watched bool
}

// Add takes events that were told, in any order.
func (r *Removals) Add(events []presence.Event) {
	if r.newest == nil {
		r.newest = map[string]newest{}
	}
	for i := range events {
		if e := &events[i]; e.Seq > r.newest[e.User.ID].seq {
			r.newest[e.User.ID] = newest{e.Seq, e.To != presence.Unknown || e.Kind == presence.KindStale}
		}
	}
}

// removalsSQL judges everybody by the last event told of them, or, of those who
// have none behind the fork, by what was before the first row that is to be
// dropped, as the adoption finds it, or else by what stands.
const removalsSQL = `
with told as (
    select user_id, watched from unnest($3::text[], $4::boolean[]) t (user_id, watched)
), dropped as (
    select f.user_no, coalesce(t.kind = 'stale' or t.to_status <> 'unknown', f.from_status <> 'unknown') as watched
      from (select distinct on (user_no) user_no, from_status, prev_seq
              from transitions
             where app_id = $1 and seq > $2
             order by user_no, seq) f
      left join transitions t on t.app_id = $1 and t.seq = f.prev_seq and t.user_no = f.user_no
), watched as (
    select user_id
      from told
     where watched
     union all
    select u.user_id
      from user_states u
      left join dropped d on d.user_no = u.user_no
     where u.app_id = $1
       and coalesce(d.watched, u.status <> 'unknown' or u.stale)
       and not exists (select from told t where t.user_id = u.user_id)
)
select count(*), count(*) filter (where w.user_id is null)
  from watched s
  left join watched_users w on w.app_id = $1 and w.user_id = s.user_id`

// Removals says of how many users the adoption at that fork would make the ledger
// say that they are online, offline or stale, and how many of them are not on the
// watchlist now: a sweep tells these as removed. It writes nothing.
func (l *Ledger) Removals(ctx context.Context, fork int64, told *Removals) (watched, unlisted int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	users, are := make([]string, 0, len(told.newest)), make([]bool, 0, len(told.newest))
	for user, last := range told.newest {
		if last.seq > fork {
			users, are = append(users, user), append(are, last.watched)
		}
	}
	if err = l.pool.QueryRow(ctx, removalsSQL, int64(l.app), fork, users, are).Scan(&watched, &unlisted); err != nil {
		return 0, 0, fmt.Errorf("look who of app %d is not on the watchlist: %w", l.app, err)
	}
	return watched, unlisted, nil
}
