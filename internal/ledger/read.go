package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

const eventColumns = `seq, user_no, user_id, kind, from_status, to_status, detail, after, observed_at, confirmed_at, prev_seq, sweep,
                      log, encoding, recorded_at`

// After returns the events behind the cursor, in order, at most limit of them.
// RecordedAt of the cursor, where it has one, keeps the read to few partitions.
func (l *Ledger) After(ctx context.Context, c presence.Cursor, limit int) ([]presence.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := l.pool.Query(ctx, `
		select `+eventColumns+`
		  from transitions
		 where app_id = $1 and seq > $2 and recorded_at >= coalesce($3::timestamptz, '-infinity')
		 order by seq
		 limit $4`, int64(l.app), c.Seq, orNull(&c.RecordedAt), limit)
	if err != nil {
		return nil, fmt.Errorf("read the ledger of app %d behind event %d: %w", l.app, c.Seq, err)
	}
	events, err := pgx.CollectRows(rows, l.scanEvent)
	if err != nil {
		return nil, fmt.Errorf("read the ledger of app %d behind event %d: %w", l.app, c.Seq, err)
	}
	return events, nil
}

// Event returns one event; found is false when the ledger does not hold it.
func (l *Ledger) Event(ctx context.Context, seq int64) (e presence.Event, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var since time.Time
	if near := l.near.Load(); near != nil && near.Seq <= seq {
		since = near.RecordedAt
	}
	e, found, err = l.event(ctx, seq, since)
	if err == nil && !found && !since.IsZero() { // the database may be another by now
		e, found, err = l.event(ctx, seq, time.Time{})
	}
	if err != nil {
		return presence.Event{}, false, fmt.Errorf("read event %d of app %d: %w", seq, l.app, err)
	}
	if found {
		l.near.Store(&e)
	}
	return e, found, nil
}

// event looks for an event among those recorded since a time; zero for all.
func (l *Ledger) event(ctx context.Context, seq int64, since time.Time) (presence.Event, bool, error) {
	rows, err := l.pool.Query(ctx, `
		select `+eventColumns+`
		  from transitions
		 where app_id = $1 and seq = $2 and recorded_at >= coalesce($3::timestamptz, '-infinity')`,
		int64(l.app), seq, orNull(&since))
	if err != nil {
		return presence.Event{}, false, err
	}
	e, err := pgx.CollectExactlyOneRow(rows, l.scanEvent)
	if errors.Is(err, pgx.ErrNoRows) {
		return presence.Event{}, false, nil
	}
	return e, err == nil, err
}

// At returns the events of certain numbers, in no certain order, as far as the
// ledger holds them.
func (l *Ledger) At(ctx context.Context, seqs []int64) ([]presence.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := l.pool.Query(ctx, `
		select `+eventColumns+`
		  from transitions
		 where app_id = $1 and seq = any($2)`, int64(l.app), seqs)
	if err != nil {
		return nil, fmt.Errorf("read %d events of app %d: %w", len(seqs), l.app, err)
	}
	events, err := pgx.CollectRows(rows, l.scanEvent)
	if err != nil {
		return nil, fmt.Errorf("read %d events of app %d: %w", len(seqs), l.app, err)
	}
	return events, nil
}

// Behind counts the events behind a number.
func (l *Ledger) Behind(ctx context.Context, seq int64) (n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	err = l.pool.QueryRow(ctx, `select count(*) from transitions where app_id = $1 and seq > $2`, int64(l.app), seq).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the events of app %d behind %d: %w", l.app, seq, err)
	}
	return n, nil
}

// Newest returns the number of the ledger's newest event, 0 for none.
func (l *Ledger) Newest(ctx context.Context) (seq int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = l.pool.QueryRow(ctx, `select last_seq from apps where app_id = $1`, int64(l.app)).Scan(&seq)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the newest event of app %d: %w", l.app, err)
	}
	return seq, nil
}

func (l *Ledger) scanEvent(row pgx.CollectableRow) (presence.Event, error) {
	e := presence.Event{AppID: l.app}
	var kind, from, to, detail string
	var after, confirmed *time.Time
	err := row.Scan(&e.Seq, &e.User.No, &e.User.ID, &kind, &from, &to, &detail, &after, &e.ObservedAt, &confirmed, &e.PrevSeq,
		&e.Sweep, &e.Log, &e.Encoding, &e.RecordedAt)
	if err != nil {
		return e, err
	}
	e.After, e.ConfirmedAt = orZero(after), orZero(confirmed)
	e.ObservedAt, e.RecordedAt = e.ObservedAt.UTC(), e.RecordedAt.UTC()
	if err := readWords(&e.Transition, kind, from, to, detail); err != nil {
		return e, fmt.Errorf("event %d: %w", e.Seq, err)
	}
	return e, nil
}

func readWords(t *presence.Transition, kind, from, to, detail string) (err error) {
	if t.Kind, err = presence.ParseKind(kind); err != nil {
		return err
	}
	if t.From, err = presence.ParseStatus(from); err != nil {
		return err
	}
	if t.To, err = presence.ParseStatus(to); err != nil {
		return err
	}
	t.Detail, err = presence.ParseDetail(detail)
	return err
}
