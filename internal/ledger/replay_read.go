package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// Choice says which events of a range are wanted; the zero value wants all.
type Choice struct {
	Users []int32 // numbers; nil for everybody
	Kinds []presence.Kind
}

func (c Choice) all() bool { return c.Users == nil && len(c.Kinds) == 0 }

// words are the kinds as the table has them; nil for all.
func (c Choice) words() []string {
	var words []string
	for _, k := range c.Kinds {
		words = append(words, k.String())
	}
	return words
}

// The events that one statement looks at: with a choice, few of them are sent.
const (
	pageAll    = 5_000
	pageChosen = 100_000
)

// PrunedError says that retention has dropped what was to be read.
type PrunedError struct {
	App uint32
	Seq int64
	// First is the oldest event that is there, 0 for none, and Recorded when it was
	// recorded.
	First    int64
	Recorded time.Time
}

func (e *PrunedError) Error() string {
	if e.First == 0 {
		return fmt.Sprintf("app %d: event %d was dropped by retention, and no later one is there", e.App, e.Seq)
	}
	return fmt.Sprintf("app %d: event %d was dropped by retention: the earliest that can be told is event %d, recorded at %s",
		e.App, e.Seq, e.First, e.Recorded.Format(time.RFC3339Nano))
}

// Page returns the next events behind the cursor, up to last, that are of the
// choice, in order; the cursor behind those that were looked at; and how many of
// these were erased, which are passed over. End's Seq is last when there is no more.
// until, where it is not zero, is when last was recorded. A hole that no adoption
// has accepted is a [*HoleError], or a [*PrunedError] where retention made it.
func (p *Past) Page(ctx context.Context, behind presence.Cursor, last int64, until time.Time, c Choice) (events []presence.Event, end presence.Cursor, erased int64, err error) {
	if c.all() {
		events, end, erased, err = p.pageAll(ctx, behind, last, until)
	} else {
		events, end, erased, err = p.pageChosen(ctx, behind, last, until, c)
	}
	if hole := new(HoleError); errors.As(err, &hole) {
		err = p.pruned(ctx, hole)
	}
	if err != nil {
		return nil, behind, 0, fmt.Errorf("read the events of app %d behind %d: %w", p.ledger.app, behind.Seq, err)
	}
	return events, end, erased, nil
}

// pruned says it when a hole is retention's.
func (p *Past) pruned(ctx context.Context, hole *HoleError) error {
	extent, err := p.Extent(ctx)
	if err != nil || hole.First > extent.PrunedSeq {
		return errors.Join(hole, err)
	}
	return &PrunedError{App: p.ledger.app, Seq: hole.First, First: extent.First, Recorded: extent.FirstRecorded}
}

const pageBounds = `app_id = $1 and seq > $2 and seq <= $3 and recorded_at >= coalesce($4::timestamptz, '-infinity')
		   and recorded_at <= coalesce($5::timestamptz, 'infinity')`

func (p *Past) pageAll(ctx context.Context, behind presence.Cursor, last int64, until time.Time) (events []presence.Event, end presence.Cursor, erased int64, err error) {
	bounded, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	rows, err := p.db.Query(bounded, `
		select `+eventColumns+`
		  from transitions
		 where `+pageBounds+`
		 order by seq
		 limit $6`, int64(p.ledger.app), behind.Seq, last, orNull(&behind.RecordedAt), orNull(&until), pageAll)
	if err != nil {
		return nil, behind, 0, err
	}
	read, err := pgx.CollectRows(rows, p.ledger.scanEvent)
	if err != nil {
		return nil, behind, 0, err
	}
	end = presence.Cursor{Seq: last, RecordedAt: until}
	if len(read) == pageAll {
		newest := &read[pageAll-1]
		end = presence.Cursor{Seq: newest.Seq, RecordedAt: newest.RecordedAt}
	}
	if err := p.whole(ctx, behind.Seq, end.Seq, read); err != nil {
		return nil, behind, 0, err
	}
	events = read[:0]
	for i := range read {
		if read[i].Kind != presence.KindErased {
			events = append(events, read[i])
		}
	}
	return events, end, int64(len(read) - len(events)), nil
}

// whole proves that the events read are all behind one up to another.
func (p *Past) whole(ctx context.Context, behind, last int64, read []presence.Event) error {
	if n := int64(len(read)); n == last-behind && (n == 0 || read[0].Seq == behind+1 && read[n-1].Seq == last) {
		return nil // they ascend
	}
	gaps, err := p.Gaps(ctx)
	if err != nil {
		return err
	}
	c := chain{next: behind + 1, gaps: gaps}
	for i := range read {
		if err := c.add(read[i].Seq); err != nil {
			return err
		}
	}
	return c.add(last + 1)
}

func (p *Past) pageChosen(ctx context.Context, behind presence.Cursor, last int64, until time.Time, c Choice) (events []presence.Event, end presence.Cursor, erased int64, err error) {
	bounded, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	args := []any{int64(p.ledger.app), behind.Seq, min(last, behind.Seq+pageChosen), orNull(&behind.RecordedAt), orNull(&until)}
	end = presence.Cursor{Seq: min(last, behind.Seq+pageChosen), RecordedAt: behind.RecordedAt}
	var there int64
	var newest *time.Time
	err = p.db.QueryRow(bounded, `
		select count(*), count(*) filter (where kind = 'erased'), max(recorded_at) from transitions where `+pageBounds, args...).
		Scan(&there, &erased, &newest)
	if err != nil {
		return nil, behind, 0, err
	}
	if there != end.Seq-behind.Seq {
		if err := p.wholeChosen(bounded, behind, end.Seq, until); err != nil {
			return nil, behind, 0, err
		}
	}
	if newest != nil {
		end.RecordedAt = newest.UTC()
	}
	rows, err := p.db.Query(bounded, `
		select `+eventColumns+`
		  from transitions
		 where `+pageBounds+`
		   and kind <> 'erased' and ($6::int[] is null or user_no = any($6)) and ($7::text[] is null or kind = any($7))
		 order by seq`, append(args, c.Users, c.words())...)
	if err != nil {
		return nil, behind, 0, err
	}
	events, err = pgx.CollectRows(rows, p.ledger.scanEvent)
	return events, end, erased, err
}

// wholeChosen looks for the hole where events are missing.
func (p *Past) wholeChosen(ctx context.Context, behind presence.Cursor, last int64, until time.Time) error {
	gaps, err := p.Gaps(ctx)
	if err != nil {
		return err
	}
	rows, err := p.db.Query(ctx, `select seq from transitions where `+pageBounds+` order by seq`,
		int64(p.ledger.app), behind.Seq, last, orNull(&behind.RecordedAt), orNull(&until))
	if err != nil {
		return err
	}
	c := chain{next: behind.Seq + 1, gaps: gaps}
	var seq int64
	if _, err = pgx.ForEachRow(rows, []any{&seq}, func() error { return c.add(seq) }); err != nil {
		return err
	}
	return c.add(last + 1)
}
