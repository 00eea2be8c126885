package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/zim-presence/poller/presence"
)

// commitSQL is fence, numbering, state and ledger in one statement: without the
// fence's row none of the others find anything to do. A state without a row to go
// to fails the whole of it, by a division by zero.
const commitSQL = commitParts + `
select 1 / case (select count(*) from state) when $7 then 1 else 0 end from fence`

// commitHeldSQL does the same, and writes down what waits to be confirmed. Nothing
// waits unless a hold is configured, so most commits do not bear its cost.
const commitHeldSQL = commitParts + `, held as (
    insert into held_changes as h (app_id, user_no, status, detail, after, seen_at)
    select $1, c.user_no, c.status, c.detail, c.after, c.seen_at
      from fence,
           unnest($30::int[], $31::text[], $32::text[], $33::timestamptz[], $34::timestamptz[])
               as c(user_no, status, detail, after, seen_at),
           user_states u
     where u.app_id = $1 and u.user_no = c.user_no
        on conflict (app_id, user_no) do update
       set status = excluded.status,
           detail = excluded.detail,
           after = excluded.after,
           seen_at = excluded.seen_at
    returning 1
), settled as (
    delete from held_changes h
     using fence
     where h.app_id = $1 and h.user_no = any($35::int[])
)
select 1 / case (select count(*) from state) when $7 then 1 else 0 end
         / case (select count(*) from held) when $36 then 1 else 0 end from fence`

const commitParts = `
with fence as (
    update apps
       set last_seq = last_seq + $4,
           last_sweep = greatest(last_sweep, $5),
           last_recorded_at = greatest(last_recorded_at, clock_timestamp())
     where app_id = $1 and epoch = $2 and owner = $6 and last_seq = $3
    returning log, last_recorded_at
), state as (
    update user_states u
       set watched = c.watched,
           stale = c.stale,
           status = c.status,
           detail = c.detail,
           since = coalesce(c.since, u.since),
           observed_at = coalesce(c.observed_at, u.observed_at),
           asked_at = coalesce(c.asked_at, u.asked_at),
           last_seq = c.last_seq
      from fence,
           unnest($8::int[], $9::bool[], $10::bool[], $11::text[], $12::text[], $13::timestamptz[], $14::timestamptz[],
                  $15::timestamptz[], $16::bigint[])
               as c(user_no, watched, stale, status, detail, since, observed_at, asked_at, last_seq)
     where u.app_id = $1 and u.user_no = c.user_no
    returning 1
), told as (
    insert into transitions (app_id, seq, user_no, user_id, kind, from_status, to_status, detail, after, observed_at,
                             confirmed_at, prev_seq, sweep, log, encoding, recorded_at)
    select $1, c.seq, c.user_no, c.user_id, c.kind, c.from_status, c.to_status, c.detail, c.after, c.observed_at,
           c.confirmed_at, c.prev_seq, c.sweep, fence.log, c.encoding, fence.last_recorded_at
      from fence,
           unnest($17::bigint[], $18::int[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[],
                  $24::timestamptz[], $25::timestamptz[], $26::timestamptz[], $27::bigint[], $28::bigint[], $29::smallint[])
               as c(seq, user_no, user_id, kind, from_status, to_status, detail, after, observed_at, confirmed_at, prev_seq, sweep,
                    encoding)
)`

// Commit writes the changes of the given sweep in one transaction. Their Seqs
// have to follow the ledger's newest. [ErrFenced] means that nothing was
// written and never will be; after any other error the outcome is unknown.
func (l *Lease) Commit(ctx context.Context, c presence.Changes, sweep int64) error {
	if c.Empty() {
		return nil
	}
	sql, args := l.commitStatement(c, sweep)
	err := l.commit(ctx, sql, args)
	if missesPartition(err) {
		if err = l.ledger.EnsurePartitions(ctx); err == nil {
			err = l.commit(ctx, sql, args)
		}
	}
	if err != nil {
		return fmt.Errorf("commit %d transitions, %d states and %d held changes of app %d: %w",
			len(c.Transitions), len(c.States), len(c.Held)+len(c.Settled), l.ledger.app, err)
	}
	if n := len(c.Transitions); n > 0 {
		l.lastSeq = c.Transitions[n-1].Seq
	}
	return nil
}

func (l *Lease) commit(ctx context.Context, sql string, args []any) error {
	ctx, cancel := context.WithTimeout(ctx, l.patience())
	defer cancel()
	var done int
	err := l.ledger.pool.QueryRow(ctx, sql, args...).Scan(&done)
	const divisionByZero = "22012"
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return ErrFenced
	case errors.As(err, &pg) && pg.Code == divisionByZero:
		return fmt.Errorf("not all of the users have a row, and nothing was written: %w", err)
	}
	return err
}

// commitStatement chooses the statement, and turns the changes into a column each.
func (l *Lease) commitStatement(c presence.Changes, sweep int64) (sql string, args []any) {
	args = append(args, int64(l.ledger.app), l.epoch, l.lastSeq, len(c.Transitions), sweep, l.terms.Owner, len(c.States))
	args = append(args, stateColumns(c.States)...)
	args = append(args, transitionColumns(c.Transitions)...)
	if len(c.Held)+len(c.Settled) == 0 {
		return commitSQL, args
	}
	return commitHeldSQL, append(args, heldColumns(c)...)
}

func stateColumns(states []presence.State) []any {
	n := len(states)
	var (
		no                     = make([]int32, n)
		watched, stale         = make([]bool, n), make([]bool, n)
		status, detail         = make([]string, n), make([]string, n)
		since, observed, asked = make([]*time.Time, n), make([]*time.Time, n), make([]*time.Time, n)
		lastSeq                = make([]int64, n)
	)
	for i := range states {
		s := &states[i]
		no[i], watched[i], stale[i], status[i], detail[i] = int32(s.User.No), s.Watched, s.Stale, s.Status.String(), s.Detail.String()
		since[i], observed[i], asked[i], lastSeq[i] = orNull(&s.Since), orNull(&s.ObservedAt), orNull(&s.AskedAt), s.LastSeq
	}
	return []any{no, watched, stale, status, detail, since, observed, asked, lastSeq}
}

func transitionColumns(transitions []presence.Transition) []any {
	n := len(transitions)
	var (
		no                         = make([]int32, n)
		seq, prev, sweep           = make([]int64, n), make([]int64, n), make([]int64, n)
		id, kind, from, to, detail = make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		after, confirmed           = make([]*time.Time, n), make([]*time.Time, n)
		observed                   = make([]time.Time, n)
		encoding                   = make([]int16, n)
	)
	for i := range transitions {
		t := &transitions[i]
		seq[i], prev[i], sweep[i], no[i], id[i] = t.Seq, t.PrevSeq, t.Sweep, int32(t.User.No), t.User.ID
		kind[i], from[i], to[i], detail[i] = t.Kind.String(), t.From.String(), t.To.String(), t.Detail.String()
		after[i], observed[i], confirmed[i] = orNull(&t.After), t.ObservedAt, orNull(&t.ConfirmedAt)
		encoding[i] = int16(t.Encoding())
	}
	return []any{seq, no, id, kind, from, to, detail, after, observed, confirmed, prev, sweep, encoding}
}

func heldColumns(c presence.Changes) []any {
	n := len(c.Held)
	var (
		no             = make([]int32, n)
		status, detail = make([]string, n), make([]string, n)
		after, seen    = make([]time.Time, n), make([]time.Time, n)
		settled        = make([]int32, len(c.Settled))
	)
	for i := range c.Held {
		h := &c.Held[i]
		no[i], status[i], detail[i], after[i], seen[i] = int32(h.User.No), h.To.String(), h.Detail.String(), h.After, h.SeenAt
	}
	for i, user := range c.Settled {
		settled[i] = int32(user)
	}
	return []any{no, status, detail, after, seen, settled, n}
}

func orNull(t *time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return t
}

// missesPartition tells whether a row found no partition to go to.
func missesPartition(err error) bool {
	const checkViolation = "23514"
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == checkViolation && pg.TableName == "transitions" && pg.ConstraintName == ""
}
