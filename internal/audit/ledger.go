package audit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

const eventColumns = `seq, user_no, user_id, kind, from_status, to_status, detail, after, observed_at, confirmed_at, prev_seq, sweep, log, encoding, recorded_at`

// row is one row of the ledger; bad says why it is no event.
type row struct {
	presence.Event
	bad error
}

// readLedger reads the ledger, fills the book, and looks at each snapshot when it
// has come to it. The rows come through a cursor, page by page: between two pages
// the transaction is free for the snapshots.
func (it *inspection) readLedger(ctx context.Context) error {
	k, b := &it.kept, it.book
	if err := it.start(ctx); err != nil {
		return err
	}
	it.report.First = b.first
	b.newest = b.first - 1
	if _, err := k.tx.Exec(ctx, `declare audited no scroll cursor for
		select `+eventColumns+` from transitions where app_id = $1 and seq >= $2 and seq <= $3 order by seq`, int64(it.App), b.first, k.end); err != nil {
		return err
	}
	recorded := time.Time{}
	for {
		rows, err := k.tx.Query(ctx, `fetch forward 10000 from audited`)
		if err != nil {
			return err
		}
		events, err := pgx.CollectRows(rows, it.scan)
		if err != nil {
			return err
		}
		for i := range events {
			if err := it.comeTo(ctx, events[i].Seq); err != nil {
				return err
			}
			it.event(&events[i], recorded)
			recorded = later(recorded, events[i].RecordedAt)
		}
		if len(events) == 0 {
			break
		}
	}
	if err := it.toSnapshots(ctx, b.newest+1); err != nil {
		return err
	}
	it.end(recorded)
	return it.toSnapshots(ctx, math.MaxInt64)
}

// comeTo looks at what stands between the newest event and the next one.
func (it *inspection) comeTo(ctx context.Context, seq int64) error {
	if newest := it.book.newest; seq > newest+1 {
		if err := it.toSnapshots(ctx, newest+1); err != nil {
			return err
		}
		for _, run := range it.gap(newest+1, seq-1) {
			it.report.add(Ledger, strconv.FormatInt(run.First, 10), "the ledger does not have %s", run)
		}
	}
	return it.toSnapshots(ctx, seq)
}

// event takes the next row.
func (it *inspection) event(e *row, recorded time.Time) {
	b, r := it.book, it.report
	key := strconv.FormatInt(e.Seq, 10)
	r.Events++
	if e.Seq <= b.newest {
		r.add(Ledger, key, "the ledger has event %d twice", e.Seq)
		return
	}
	b.newest = e.Seq
	if e.RecordedAt.Before(recorded) {
		r.add(Ledger, key, "event %d was recorded at %s, before an earlier event", e.Seq, e.RecordedAt.Format(time.RFC3339Nano))
	}
	if late := it.kept.sweep.count(e.Sweep); late {
		r.add(Ledger, key, "event %d is of sweep %d, an earlier event of sweep %d", e.Seq, e.Sweep, it.kept.sweep.sweep)
	}
	if e.Kind == presence.KindStale {
		it.kept.sweep.stale++
	}
	sum, err := b.sumEvent(&e.Event)
	if err = errors.Join(e.bad, err); err != nil {
		sum = unreadable
		r.add(Ledger, key, "event %d cannot be read: %v", e.Seq, err)
	}
	b.put(e.Seq, sum, e.Kind == presence.KindErased)
	switch {
	case err != nil:
		it.kept.fold.doubt(e.User.No)
	case e.Kind == presence.KindErased:
		it.erased(&e.Event, key)
	default:
		it.tells(&e.Event)
	}
}

// tells takes what an event says of its user.
func (it *inspection) tells(e *presence.Event) {
	broken := it.follow(e)
	it.kept.fold.set(e.User.No, e.To)
	if broken != "" {
		it.report.add(Chain, e.User.ID, "%s", broken)
		it.kept.fold.doubt(e.User.No)
	}
	if it.kept.gone.Contains(e.User.No) {
		it.report.add(Ledger, strconv.FormatInt(e.Seq, 10), "event %d is of user number %d, who was erased", e.Seq, e.User.No)
	}
	if !it.happened(e) {
		it.report.add(Interval, e.User.ID, "event %d says that %q went %s in (%s, %s]; it did not", e.Seq, e.User.ID, e.To,
			e.After.Format(time.RFC3339Nano), e.ObservedAt.Format(time.RFC3339Nano))
	}
}

func (it *inspection) erased(e *presence.Event, key string) {
	it.report.Erased++
	if e.User.No != 0 {
		it.report.add(Ledger, key, "event %d is erased and still has the user number %d", e.Seq, e.User.No)
	}
}

// gap takes a run of numbers without rows, and returns those that no adoption
// has accepted. Where there are any, nothing is known of who stands how.
func (it *inspection) gap(first, last int64) []run {
	hole := presence.SeqSet{{First: first, Last: last}}
	unknown := hole.Without(it.kept.gaps)
	it.report.Accepted += int(hole.Len() - unknown.Len())
	it.kept.sweep.miss()
	it.book.holes = append(it.book.holes, hole...)
	var runs []run
	for _, r := range unknown {
		runs = append(runs, run(r))
	}
	if len(runs) > 0 {
		it.kept.fold.forget()
	}
	return runs
}

// run is a run of events, for people.
type run presence.SeqRange

func (r run) String() string {
	if r.First == r.Last {
		return fmt.Sprintf("event %d", r.First)
	}
	return fmt.Sprintf("the events %d to %d", r.First, r.Last)
}

// end holds the app's own counts against the rows.
func (it *inspection) end(recorded time.Time) {
	k, b, r := &it.kept, it.book, it.report
	b.last = min(k.end, max(b.newest, k.lastSeq))
	r.Last = b.last
	wrong := b.newest > k.lastSeq
	if b.last > b.newest {
		wrong = len(it.gap(b.newest+1, b.last)) > 0
	}
	if wrong {
		r.add(Ledger, "apps", "the app counts %d events, the ledger ends with event %d", k.lastSeq, b.newest)
	}
	if k.recorded != nil && k.recorded.Before(recorded) || k.recorded == nil && !recorded.IsZero() {
		r.add(Ledger, "apps", "the app's newest commit was at %v, the newest event was recorded at %s", k.recorded, recorded.Format(time.RFC3339Nano))
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// scan reads a row. What is wrong with its words is noted in it.
func (it *inspection) scan(from pgx.CollectableRow) (row, error) {
	e := row{Event: presence.Event{AppID: it.App}}
	var kind, was, to, detail string
	var after, confirmed *time.Time
	if err := from.Scan(&e.Seq, &e.User.No, &e.User.ID, &kind, &was, &to, &detail, &after, &e.ObservedAt, &confirmed, &e.PrevSeq,
		&e.Sweep, &e.Log, &e.Encoding, &e.RecordedAt); err != nil {
		return e, err
	}
	if after != nil {
		e.After = *after
	}
	if confirmed != nil {
		e.ConfirmedAt = *confirmed
	}
	var kindErr, fromErr, toErr, detailErr error
	e.Kind, kindErr = presence.ParseKind(kind)
	e.From, fromErr = presence.ParseStatus(was)
	e.To, toErr = presence.ParseStatus(to)
	e.Detail, detailErr = presence.ParseDetail(detail)
	e.bad = errors.Join(kindErr, fromErr, toErr, detailErr)
	return e, nil
}
