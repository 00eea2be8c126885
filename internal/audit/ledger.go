package audit

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// readTimeout bounds each statement: a whole ledger goes through one.
const readTimeout = 10 * time.Minute

const eventColumns = `seq, user_id, kind, from_status, to_status, detail, after, observed_at, prev_seq, sweep, log, encoding, recorded_at`

// readLedger reads the ledger from its first row on and fills the book.
func (a Audit) readLedger(ctx context.Context, b *book, r *Report) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := a.DB.Query(ctx, `select `+eventColumns+` from transitions where app_id = $1 order by seq`, int64(a.App))
	if err != nil {
		return err
	}
	defer rows.Close()
	var recorded time.Time
	for rows.Next() {
		e, err := a.scan(rows)
		if err != nil {
			return err
		}
		sum, err := b.sumEvent(&e)
		if err != nil {
			return err
		}
		r.Events++
		key := strconv.FormatInt(e.Seq, 10)
		switch want := int64(len(b.sums)) + 1; {
		case e.Seq < want:
			r.add(Ledger, key, "the ledger has event %d twice", e.Seq)
			continue
		case e.Seq > want:
			r.add(Ledger, key, "the ledger goes from event %d to event %d", want-1, e.Seq)
			b.sums = append(b.sums, make([]uint64, e.Seq-want)...)
		}
		b.sums = append(b.sums, sum)
		if broken, _ := b.chains.follow(&e); broken != "" {
			r.add(Ledger, e.User.ID, "%s", broken)
		}
		if !a.happened(&e) {
			r.add(Interval, e.User.ID, "event %d says that %q went %s in (%s, %s]; it did not", e.Seq, e.User.ID, e.To,
				e.After.Format(time.RFC3339Nano), e.ObservedAt.Format(time.RFC3339Nano))
		}
		if e.RecordedAt.Before(recorded) {
			r.add(Ledger, key, "event %d was recorded before event %d", e.Seq, e.Seq-1)
		}
		recorded = e.RecordedAt
	}
	if err := rows.Err(); err != nil {
		return err
	}
	r.Users = len(b.chains)
	return a.readCounter(ctx, b, r)
}

// readCounter holds the app's own count against its rows.
func (a Audit) readCounter(ctx context.Context, b *book, r *Report) error {
	var last int64
	err := a.DB.QueryRow(ctx, `select last_seq from apps where app_id = $1`, int64(a.App)).Scan(&last)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	if err == nil && last != int64(len(b.sums)) {
		r.add(Ledger, "apps", "the app counts %d events, the ledger ends with %d", last, len(b.sums))
	}
	return err
}

// event reads one row again, for the text of a finding.
func (a Audit) event(ctx context.Context, seq int64) (presence.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := a.DB.Query(ctx, `select `+eventColumns+` from transitions where app_id = $1 and seq = $2 limit 1`, int64(a.App), seq)
	if err != nil {
		return presence.Event{}, err
	}
	return pgx.CollectExactlyOneRow(rows, a.scan)
}

func (a Audit) scan(row pgx.CollectableRow) (presence.Event, error) {
	e := presence.Event{AppID: a.App}
	var kind, from, to, detail string
	var after *time.Time
	if err := row.Scan(&e.Seq, &e.User.ID, &kind, &from, &to, &detail, &after, &e.ObservedAt, &e.PrevSeq, &e.Sweep,
		&e.Log, &e.Encoding, &e.RecordedAt); err != nil {
		return e, err
	}
	if after != nil {
		e.After = *after
	}
	var kindErr, fromErr, toErr, detailErr error
	e.Kind, kindErr = presence.ParseKind(kind)
	e.From, fromErr = presence.ParseStatus(from)
	e.To, toErr = presence.ParseStatus(to)
	e.Detail, detailErr = presence.ParseDetail(detail)
	return e, errors.Join(kindErr, fromErr, toErr, detailErr)
}
