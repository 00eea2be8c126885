package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// Forgotten says what was erased.
type Forgotten struct {
	Watchlist int64 // rows
	State     int64 // rows
	Rows      int64 // of the ledger; each is a tombstone now
	Replays   int64 // that were asked for the user alone, and cannot be resumed now
	// Newest is the ledger's newest event now.
	Newest int64
}

// forgetLock is how long an erasure waits for a lock, less than any lease lasts.
const forgetLock = 500 * time.Millisecond

// ErrReplaced says that the ledger became another while it was searched.
var ErrReplaced = errors.New("the ledger was replaced while it was searched: run it again")

// Forget erases a user, in one transaction: from the watchlist, from the state,
// from the choices of replays, and from the ledger, where a tombstone keeps each
// number. Whoever loads the state next finds nobody whom to tell as removed.
//
// The ledger never ends with a row that was the user's: a tombstone that stands for
// nothing is added then. When it has been told, the message at the end of the stream
// is not one of those that are to be deleted, so that the end can be read as ever.
//
// What was found before is erased by its key. Rows were added to the ledger since
// then, if any, behind the newest of that time, and are looked for under the lock.
//
// [ErrFenced] as in [Lease.Commit]; an error of the commit leaves open whether it
// was done. Doing it again does no harm.
func (l *Lease) Forget(ctx context.Context, t *Traces) (Forgotten, error) {
	if err := l.ledger.EnsurePartitions(ctx); err != nil {
		return Forgotten{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), adoptTimeout)
	defer cancel()
	f := &forget{lease: l, Traces: t, app: int64(l.ledger.app)}
	err := pgx.BeginFunc(ctx, l.ledger.pool, func(tx pgx.Tx) error {
		f.tx = tx
		return f.run(ctx)
	})
	if locked(err) {
		err = fmt.Errorf("somebody else holds rows of the user, such as a load of the watchlist; nothing was erased, run it again when that has ended: %w", err)
	}
	if err != nil {
		return Forgotten{}, fmt.Errorf("erase a user of app %d: %w", l.ledger.app, err)
	}
	l.lastSeq = f.done.Newest
	return f.done, nil
}

// forget is one erasure under way.
type forget struct {
	*Traces
	lease *Lease
	tx    pgx.Tx
	app   int64
	done  Forgotten

	numbers []int32 // the user's
}

func (f *forget) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{f.fence, f.since, f.note, f.ledger, f.fullStop, f.state} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// fence locks the app's row: until the commit nobody writes, or takes the lease, or
// renews it. So the transaction waits for no lock of others for long: a load of the
// watchlist may hold the user's row for minutes.
func (f *forget) fence(ctx context.Context) error {
	_, err := f.tx.Exec(ctx, `select set_config('idle_in_transaction_session_timeout', $1, true), set_config('lock_timeout', $2, true)`,
		strconv.FormatInt(adoptIdle.Milliseconds(), 10), strconv.FormatInt(forgetLock.Milliseconds(), 10))
	if err != nil {
		return err
	}
	var log string
	err = f.tx.QueryRow(ctx, `
		select log, last_seq
		  from apps
		 where app_id = $1 and epoch = $2 and owner = $3
		   for update`, f.app, f.lease.epoch, f.lease.terms.Owner).Scan(&log, &f.done.Newest)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return ErrFenced
	case err == nil && f.log != "" && (log != f.log || f.done.Newest < f.upTo):
		return ErrReplaced
	}
	return err
}

// since adds the rows that were written since the search.
func (f *forget) since(ctx context.Context) error {
	rows, err := f.tx.Query(ctx, `
		select seq, recorded_at, user_no
		  from transitions
		 where app_id = $1 and seq > $3 and user_id = $2`, f.app, f.user, f.upTo)
	if err != nil {
		return err
	}
	more, err := pgx.CollectRows(rows, scanTrace)
	f.rows = append(f.rows, more...)
	return err
}

// note writes down the numbers of the user, and which events are still to be told
// as erased. A number may be noted already: the database was restored since.
func (f *forget) note(ctx context.Context) error {
	seqs := map[int32][]int64{}
	for _, row := range f.rows {
		seqs[row.no] = append(seqs[row.no], row.seq)
	}
	var no int32
	err := f.tx.QueryRow(ctx, `select user_no from user_states where app_id = $1 and user_id = $2`, f.app, f.user).Scan(&no)
	if err == nil && seqs[no] == nil {
		seqs[no] = []int64{} // who has a number is noted, also without an event
	}
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	for no, seqs := range seqs {
		f.numbers = append(f.numbers, no)
		_, err := f.tx.Exec(ctx, `
			insert into erasures as e (app_id, user_no, events, untold)
			values ($1, $2, $3, $4)
			on conflict (app_id, user_no) do update
			   set events = excluded.events, erased_at = excluded.erased_at, untold = e.untold + excluded.untold`,
			f.app, no, len(seqs), seqRanges(presence.SeqSetOf(seqs...)))
		if err != nil {
			return err
		}
	}
	return nil
}

// ledger makes tombstones of the user's rows.
func (f *forget) ledger(ctx context.Context) error {
	seqs, times := make([]int64, len(f.rows)), make([]time.Time, len(f.rows))
	for i, row := range f.rows {
		seqs[i], times[i] = row.seq, row.recordedAt
	}
	tag, err := f.tx.Exec(ctx, `
		update transitions t
		   set user_no = 0, user_id = '', kind = 'erased', from_status = 'unknown', to_status = 'unknown', detail = '',
		       after = null, observed_at = t.recorded_at, confirmed_at = null, prev_seq = 0, encoding = $5
		  from unnest($3::bigint[], $4::timestamptz[]) as r (seq, recorded_at)
		 where t.app_id = $1 and t.user_id = $2 and t.seq = r.seq and t.recorded_at = r.recorded_at`, f.app, f.user, seqs, times, int16(presence.EncodingV1))
	f.done.Rows = tag.RowsAffected()
	return err
}

// fullStop adds a tombstone where the ledger ends with one of the user's rows, or
// with one that is no longer there and may have been.
func (f *forget) fullStop(ctx context.Context) error {
	theirs := false
	for _, row := range f.rows {
		theirs = theirs || row.seq == f.done.Newest
	}
	return f.tx.QueryRow(ctx, `
		with moved as (
		    update apps
		       set last_seq = last_seq + 1,
		           last_recorded_at = greatest(last_recorded_at, clock_timestamp())
		     where app_id = $1 and last_seq > 0
		       and ($2 or not exists (select from transitions t where t.app_id = $1 and t.seq = last_seq))
		    returning app_id, last_seq, last_sweep, log, last_recorded_at
		), told as (
		    insert into transitions (app_id, seq, user_no, user_id, kind, from_status, to_status, detail, after, observed_at,
		                             prev_seq, sweep, log, encoding, recorded_at)
		    select app_id, last_seq, 0, '', 'erased', 'unknown', 'unknown', '', null, last_recorded_at,
		           0, last_sweep, log, $3, last_recorded_at
		      from moved
		    returning seq
		)
		select coalesce((select seq from told), $4)`, f.app, theirs, int16(presence.EncodingV1), f.done.Newest).Scan(&f.done.Newest)
}

// state takes the user out of everything that is not numbered.
func (f *forget) state(ctx context.Context) error {
	if _, err := f.tx.Exec(ctx, `delete from held_changes where app_id = $1 and user_no = any($2)`, f.app, f.numbers); err != nil {
		return err
	}
	for _, step := range []struct {
		n   *int64
		sql string
	}{
		{&f.done.Watchlist, `delete from watched_users where app_id = $1 and user_id = $2`},
		{&f.done.State, `delete from user_states where app_id = $1 and user_id = $2`},
		{&f.done.Replays, `update replays set asked = '{"erased": true}' where app_id = $1 and ` + asksForUser},
	} {
		tag, err := f.tx.Exec(ctx, step.sql, f.app, f.user)
		if err != nil {
			return err
		}
		*step.n = tag.RowsAffected()
	}
	return nil
}
