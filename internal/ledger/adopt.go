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

// adoptTimeout bounds what the end of an adoption does under the lock of the
// app's row, where nobody can take the lease.
const adoptTimeout = 15 * time.Minute

// adoptIdle is how long an adopter may stand still under that lock. A process
// that is stopped, or whose host is gone, keeps no deadline of its own: the
// database undoes the adoption.
const adoptIdle = 30 * time.Second

// Adoption is a transaction that makes the ledger say what was told. The events
// wait in a table that goes with it; until the end it locks nothing.
type Adoption struct {
	lease *Lease
	tx    pgx.Tx
	idle  time.Duration // as adoptIdle
}

// Adopted says what an adoption did.
type Adopted struct {
	Dropped   int64 // rows of the ledger that were never told
	Imported  int64 // events
	NewUsers  int64 // who got a number
	States    int64 // users whose state is another now, new ones included
	Snapshots int64 // that were dropped
	Watched   int64 // users who count as watched until the next sweep looks
	Log       string
}

// Adopt begins an adoption. [Adoption.Close] has to follow.
func (l *Lease) Adopt(ctx context.Context) (*Adoption, error) {
	if err := l.ledger.EnsurePartitions(ctx); err != nil {
		return nil, err
	}
	tx, err := l.ledger.pool.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("adopt what app %d was told: %w", l.ledger.app, err)
	}
	a := &Adoption{lease: l, tx: tx, idle: adoptIdle}
	if err := a.exec(ctx, `
		create temp table adopted_events (
		    seq         bigint primary key,
		    user_id     text collate "C" not null,
		    kind        text not null,
		    from_status text not null,
		    to_status   text not null,
		    detail      text not null,
		    after       timestamptz,
		    observed_at timestamptz not null,
		    confirmed_at timestamptz,
		    prev_seq    bigint not null,
		    sweep       bigint not null,
		    log         text not null,
		    encoding    smallint not null
		) on commit drop`); err != nil {
		a.Close()
		return nil, fmt.Errorf("adopt what app %d was told: %w", l.ledger.app, err)
	}
	return a, nil
}

// Close ends the adoption; what was not finished is undone.
func (a *Adoption) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), asideTimeout)
	defer cancel()
	_ = a.tx.Rollback(ctx) // nothing is lost with it
}

// Stage takes over events that were told, in any order, each once. Their users
// need no number.
func (a *Adoption) Stage(ctx context.Context, events []presence.Event) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	columns := []string{"seq", "user_id", "kind", "from_status", "to_status", "detail", "after", "observed_at", "confirmed_at", "prev_seq",
		"sweep", "log", "encoding"}
	_, err := a.tx.CopyFrom(ctx, pgx.Identifier{"adopted_events"}, columns, pgx.CopyFromSlice(len(events), func(i int) ([]any, error) {
		e := &events[i]
		return []any{e.Seq, e.User.ID, e.Kind.String(), e.From.String(), e.To.String(), e.Detail.String(), orNull(&e.After), e.ObservedAt,
			orNull(&e.ConfirmedAt), e.PrevSeq, e.Sweep, e.Log, int16(e.Encoding)}, nil
	}))
	if err != nil {
		return fmt.Errorf("stage %d events of app %d: %w", len(events), a.lease.ledger.app, err)
	}
	return nil
}

// Finish drops the ledger's rows behind the event fork, puts those staged events
// in their place that are behind it, notes which numbers stay without a row, brings
// every user concerned to the fold of that, drops the changes that waited to be
// confirmed and snapshots of what is no longer told, and draws a new log. told is
// the end of the stream; its Seq becomes the ledger's newest. All of it happens,
// or nothing; [ErrFenced] as in [Lease.Commit], an error of the commit leaves open
// which.
func (a *Adoption) Finish(ctx context.Context, fork int64, told presence.Cursor) (Adopted, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), adoptTimeout)
	defer cancel()
	f := &finish{Adoption: a, fork: fork, told: told}
	err := f.run(ctx)
	if err == nil {
		err = a.tx.Commit(ctx)
	}
	if err != nil {
		return Adopted{}, fmt.Errorf("adopt what app %d was told up to event %d: %w", a.lease.ledger.app, told.Seq, err)
	}
	return f.done, nil
}

func (a *Adoption) exec(ctx context.Context, sql string, args ...any) error {
	_, err := a.tx.Exec(ctx, sql, args...)
	return err
}

// finish is the end of an adoption under way.
type finish struct {
	*Adoption
	fork  int64
	told  presence.Cursor
	at    time.Time // recorded_at of what is imported
	sweep int64     // the newest that anything knows of
	done  Adopted
}

func (f *finish) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{f.fence, f.enroll, f.drop, f.insert, f.gaps, f.fold, f.unfold, f.rest, f.snapshots, f.held, f.app} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// fence locks the app's row: from here on to the commit nobody takes the lease,
// however long it takes, unless the adopter stands still. What is staged up to the
// fork is in the ledger already.
func (f *finish) fence(ctx context.Context) error {
	app := int64(f.lease.ledger.app)
	err := f.exec(ctx, `select set_config('idle_in_transaction_session_timeout', $1, true)`, strconv.FormatInt(f.idle.Milliseconds(), 10))
	if err != nil {
		return err
	}
	err = f.tx.QueryRow(ctx, `
		select greatest(last_recorded_at, clock_timestamp()), last_sweep
		  from apps
		 where app_id = $1 and epoch = $2 and owner = $3
		   for update`, app, f.lease.epoch, f.lease.terms.Owner).Scan(&f.at, &f.sweep)
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrFenced
	}
	if err != nil {
		return err
	}
	if err := f.exec(ctx, `delete from adopted_events where seq <= $1`, f.fork); err != nil {
		return err
	}
	if err := f.exec(ctx, `analyze adopted_events`); err != nil {
		return err
	}
	return f.tx.QueryRow(ctx, `
		select greatest($2, (select max(sweep) from adopted_events), (select max(sweep) from snapshots where app_id = $1))`,
		app, f.sweep).Scan(&f.sweep)
}

// enroll numbers users whom this database does not know. Who was erased is nobody.
func (f *finish) enroll(ctx context.Context) (err error) {
	f.done.NewUsers, err = f.count(ctx, `
		insert into user_states (app_id, user_no, user_id, watched)
		select a.app_id, a.last_user_no + row_number() over (order by e.first), e.user_id, false
		  from apps a,
		       (select user_id, min(seq) as first from adopted_events where kind <> 'erased' group by user_id) e
		 where a.app_id = $1
		   and not exists (select from user_states u where u.app_id = $1 and u.user_id = e.user_id)`)
	return err
}

// drop takes out what was never told, and keeps aside what it says of the time
// before.
func (f *finish) drop(ctx context.Context) (err error) {
	if err = f.exec(ctx, `
		create temp table adopted_dropped (
		    user_no     integer not null,
		    seq         bigint  not null,
		    from_status text    not null,
		    prev_seq    bigint  not null,
		    after       timestamptz
		) on commit drop`); err != nil {
		return err
	}
	f.done.Dropped, err = f.count(ctx, `
		with dropped as (
		    delete from transitions
		     where app_id = $1 and seq > $2
		    returning user_no, seq, from_status, prev_seq, after
		)
		insert into adopted_dropped (user_no, seq, from_status, prev_seq, after)
		select user_no, seq, from_status, prev_seq, after from dropped`, f.fork)
	return err
}

func (f *finish) insert(ctx context.Context) (err error) {
	f.done.Imported, err = f.count(ctx, `
		insert into transitions (app_id, seq, user_no, user_id, kind, from_status, to_status, detail, after, observed_at,
		                         confirmed_at, prev_seq, sweep, log, encoding, recorded_at)
		select $1, e.seq, coalesce(u.user_no, 0), e.user_id, e.kind, e.from_status, e.to_status, e.detail, e.after, e.observed_at,
		       e.confirmed_at, e.prev_seq, e.sweep, e.log, e.encoding, $2
		  from adopted_events e
		  left join user_states u on u.app_id = $1 and u.user_id = e.user_id and e.kind <> 'erased'
		 order by e.seq`, f.at)
	return err
}

// count runs a statement whose first argument is the app, and returns how many
// rows it touched.
func (f *finish) count(ctx context.Context, sql string, args ...any) (int64, error) {
	tag, err := f.tx.Exec(ctx, sql, append([]any{int64(f.lease.ledger.app)}, args...)...)
	return tag.RowsAffected(), err
}
