package ledger

import (
	"context"
	"time"
)

// longestRequest is more than the request for an answer can have taken: what a
// baseline says was true no longer than that before it was read.
const longestRequest = time.Minute

// fold brings who has imported events to the last of them. The event does not
// say when its request left, of which asked_at is the note; its after is a bound,
// since the answer before left no later.
//
// Who is not unknown counts as watched, so that the next sweep, which compares
// with the watchlist, goes on with the user or tells that it was removed; so does
// who has gone stale. Who is unknown otherwise does not, and gets a baseline if the
// watchlist has it.
func (f *finish) fold(ctx context.Context) (err error) {
	f.done.States, err = f.count(ctx, `
		update user_states u
		   set status = e.to_status,
		       detail = e.detail,
		       stale = e.kind = 'stale',
		       since = e.observed_at,
		       observed_at = coalesce(e.confirmed_at, e.observed_at),
		       asked_at = coalesce(e.after, e.observed_at - $2::interval),
		       last_seq = e.seq,
		       watched = e.to_status <> 'unknown' or e.kind = 'stale'
		  from (select distinct on (user_id) user_id, seq, kind, to_status, detail, after, observed_at, confirmed_at
		          from adopted_events
		         order by user_id, seq desc) e
		 where u.app_id = $1 and u.user_id = e.user_id`, longestRequest)
	return err
}

// unfold takes back what dropped rows did to users who have no imported event:
// the first of them says which event was before, which says what was, or says it
// itself where that one is gone; and when it was last seen. The event before knows
// better: a baseline that told somebody once more goes on from unknown.
func (f *finish) unfold(ctx context.Context) error {
	n, err := f.count(ctx, `
		update user_states u
		   set status = coalesce(t.to_status, d.from_status),
		       detail = coalesce(t.detail, ''),
		       stale = coalesce(t.kind = 'stale', false),
		       since = t.observed_at,
		       observed_at = coalesce(t.confirmed_at, t.observed_at),
		       asked_at = coalesce(d.after, t.observed_at),
		       last_seq = d.prev_seq,
		       watched = coalesce(t.kind = 'stale' or t.to_status <> 'unknown', d.from_status <> 'unknown')
		  from (select distinct on (user_no) user_no, from_status, prev_seq, after
		          from adopted_dropped
		         order by user_no, seq) d
		  left join transitions t on t.app_id = $1 and t.seq = d.prev_seq and t.user_no = d.user_no
		 where u.app_id = $1 and u.user_no = d.user_no and d.prev_seq <= $2
		   and not exists (select from adopted_events e where e.user_id = u.user_id)`, f.fork)
	f.done.States += n
	return err
}

// rest resets who still stands behind the fork, because rows were deleted by
// hand, to what is left in the ledger.
func (f *finish) rest(ctx context.Context) error {
	n, err := f.count(ctx, `
		update user_states u
		   set status = coalesce(t.to_status, 'unknown'),
		       detail = coalesce(t.detail, ''),
		       stale = coalesce(t.kind = 'stale', false),
		       since = t.observed_at,
		       observed_at = coalesce(t.confirmed_at, t.observed_at),
		       asked_at = coalesce(t.after, t.observed_at - $3::interval),
		       last_seq = coalesce(t.seq, 0),
		       watched = coalesce(t.kind = 'stale' or t.to_status <> 'unknown', false)
		  from user_states v
		  left join lateral (select seq, kind, to_status, detail, after, observed_at, confirmed_at
		                       from transitions
		                      where app_id = $1 and user_no = v.user_no and seq <= $2
		                      order by seq desc
		                      limit 1) t on true
		 where v.app_id = $1 and v.last_seq > $2
		   and not exists (select from adopted_events e where e.user_id = v.user_id)
		   and u.app_id = v.app_id and u.user_no = v.user_no`, f.fork, longestRequest)
	f.done.States += n
	return err
}

// snapshots drops those of the time that is no longer told. One at the fork's
// seq may be of it, too: it says of a user whose event is imported that it was
// seen later, in another state. Those before the fork were finished before the
// first event behind it was observed.
func (f *finish) snapshots(ctx context.Context) (err error) {
	f.done.Snapshots, err = f.count(ctx, `
		delete from snapshots
		 where app_id = $1 and (seq > $2 or finished >= (select min(observed_at) from adopted_events))`, f.fork)
	return err
}

// held drops the changes that waited: whether they were told, or dropped, after the
// database was saved is not known. The sweeps since the last answer that said what
// is told saw the user say something else, which nothing notes any more: their
// snapshots go, as do those that saw what a dropped row had told of later.
func (f *finish) held(ctx context.Context) error {
	n, err := f.count(ctx, `
		with doubted as (
		    select user_no, after
		      from held_changes
		     where app_id = $1
		     union all
		    select user_no, after
		      from (select distinct on (user_no) user_no, from_status, after from adopted_dropped order by user_no, seq) d
		     where from_status <> 'unknown' and after is not null
		)
		delete from snapshots s
		 where s.app_id = $1
		   and exists (select from doubted d where d.after < s.started and not s.missed @> d.user_no)`)
	f.done.Snapshots += n
	if err == nil {
		_, err = f.count(ctx, `delete from held_changes where app_id = $1`)
	}
	return err
}

// app moves the counters, never back but for the seq, and draws a log: an id of
// the new one was never used, whatever was lost.
func (f *finish) app(ctx context.Context) error {
	app := int64(f.lease.ledger.app)
	err := f.tx.QueryRow(ctx, `
		update apps
		   set log = left(gen_random_uuid()::text, 8),
		       last_seq = $3,
		       last_sweep = $4,
		       last_user_no = last_user_no + $5,
		       last_recorded_at = $6
		 where app_id = $1 and epoch = $2
		returning log, (select count(*) from user_states where app_id = $1 and watched)`,
		app, f.lease.epoch, f.told.Seq, f.sweep, f.done.NewUsers, f.at).Scan(&f.done.Log, &f.done.Watched)
	if err != nil {
		return err
	}
	_, err = f.count(ctx, saveCursorSQL, f.told.Seq, int64(f.told.StreamSeq), f.told.StreamCreated, f.at)
	return err
}
