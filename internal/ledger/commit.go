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
const commitSQL = `
with fence as (
    update apps
       set last_seq = last_seq + $4,
           last_sweep = greatest(last_sweep, $5),
           last_recorded_at = greatest(last_recorded_at, clock_timestamp())
     where app_id = $1 and epoch = $2 and owner = $26 and last_seq = $3
    returning log, last_recorded_at
), state as (
    update user_states u
       set watched = c.watched,
           status = c.status,
           detail = c.detail,
           since = coalesce(c.since, u.since),
           observed_at = coalesce(c.observed_at, u.observed_at),
           asked_at = coalesce(c.asked_at, u.asked_at),
           last_seq = c.last_seq
      from fence,
           unnest($6::int[], $7::bool[], $8::text[], $9::text[], $10::timestamptz[], $11::timestamptz[],
                  $12::timestamptz[], $13::bigint[])
               as c(user_no, watched, status, detail, since, observed_at, asked_at, last_seq)
     where u.app_id = $1 and u.user_no = c.user_no
    returning 1
), told as (
    insert into transitions (app_id, seq, user_no, user_id, kind, from_status, to_status, detail, after, observed_at,
                             prev_seq, sweep, log, encoding, recorded_at)
    select $1, c.seq, c.user_no, c.user_id, c.kind, c.from_status, c.to_status, c.detail, c.after, c.observed_at,
           c.prev_seq, c.sweep, fence.log, $14, fence.last_recorded_at
      from fence,
           unnest($15::bigint[], $16::int[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[],
                  $22::timestamptz[], $23::timestamptz[], $24::bigint[], $25::bigint[])
               as c(seq, user_no, user_id, kind, from_status, to_status, detail, after, observed_at, prev_seq, sweep)
)
select 1 / case (select count(*) from state) when $27 then 1 else 0 end from fence`

// Commit writes the changes of the given sweep in one transaction. Their Seqs
// have to follow the ledger's newest. [ErrFenced] means that nothing was
// written and never will be; after any other error the outcome is unknown.
func (l *Lease) Commit(ctx context.Context, c presence.Changes, sweep int64) error {
	if c.Empty() {
		return nil
	}
	args := l.commitArgs(c, sweep)
	err := l.commit(ctx, args)
	if missesPartition(err) {
		if err = l.ledger.EnsurePartitions(ctx); err == nil {
			err = l.commit(ctx, args)
		}
	}
	if err != nil {
		return fmt.Errorf("commit %d transitions and %d states of app %d: %w", len(c.Transitions), len(c.States), l.ledger.app, err)
	}
	if n := len(c.Transitions); n > 0 {
		l.lastSeq = c.Transitions[n-1].Seq
	}
	return nil
}

func (l *Lease) commit(ctx context.Context, args []any) error {
	ctx, cancel := context.WithTimeout(ctx, l.patience())
	defer cancel()
	var done int
	err := l.ledger.pool.QueryRow(ctx, commitSQL, args...).Scan(&done)
	const divisionByZero = "22012"
	var pg *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return ErrFenced
	case errors.As(err, &pg) && pg.Code == divisionByZero:
		return fmt.Errorf("not all of the states have a row, and nothing was written: %w", err)
	}
	return err
}

// commitArgs turns the changes into a column each, in the order of commitSQL.
func (l *Lease) commitArgs(c presence.Changes, sweep int64) []any {
	ns, nt := len(c.States), len(c.Transitions)
	var (
		stateNo, trNo, states            = make([]int32, ns), make([]int32, nt), ns
		watched                          = make([]bool, states)
		status, stateDetail              = make([]string, ns), make([]string, ns)
		since, stateObserved, asked      = make([]*time.Time, ns), make([]*time.Time, ns), make([]*time.Time, ns)
		stateSeq                         = make([]int64, ns)
		seq, prev, sweeps                = make([]int64, nt), make([]int64, nt), make([]int64, nt)
		userID, kind, from, to, trDetail = make([]string, nt), make([]string, nt), make([]string, nt), make([]string, nt), make([]string, nt)
		after                            = make([]*time.Time, nt)
		observed                         = make([]time.Time, nt)
	)
	for i := range c.States {
		s := &c.States[i]
		stateNo[i], watched[i], status[i], stateDetail[i] = int32(s.User.No), s.Watched, s.Status.String(), s.Detail.String()
		since[i], stateObserved[i], asked[i], stateSeq[i] = orNull(&s.Since), orNull(&s.ObservedAt), orNull(&s.AskedAt), s.LastSeq
	}
	for i := range c.Transitions {
		t := &c.Transitions[i]
		seq[i], prev[i], sweeps[i], trNo[i], userID[i] = t.Seq, t.PrevSeq, t.Sweep, int32(t.User.No), t.User.ID
		kind[i], from[i], to[i], trDetail[i] = t.Kind.String(), t.From.String(), t.To.String(), t.Detail.String()
		after[i], observed[i] = orNull(&t.After), t.ObservedAt
	}
	return []any{
		int64(l.ledger.app), l.epoch, l.lastSeq, nt, sweep,
		stateNo, watched, status, stateDetail, since, stateObserved, asked, stateSeq,
		int16(presence.EncodingV1),
		seq, trNo, userID, kind, from, to, trDetail, after, observed, prev, sweeps,
		l.terms.Owner, ns,
	}
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
