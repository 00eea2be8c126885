package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// eventsRead is how many events one statement of [Past.Events] reads.
const eventsRead = 10_000

// HoleError says that the ledger lacks events that it should have: no adoption
// has accepted that they are gone.
type HoleError struct{ First, Last int64 }

func (e *HoleError) Error() string {
	return fmt.Sprintf("events %d to %d are not in the ledger", e.First, e.Last)
}

// Events yields the events behind the cursor up to the event last, in order and
// without holes, some thousands at a time; the slice is valid until yield
// returns. RecordedAt of the cursor, where it has one, is that of its event or
// of the next, and spares the planner all partitions before. An event that is
// missing is a [*HoleError], unless an adoption has accepted the gap; so is a
// last behind the ledger's newest. Nothing is held open while yield works; its
// first error ends the reading and is returned as it is.
func (p *Past) Events(ctx context.Context, behind presence.Cursor, last int64, yield func([]presence.Event) error) error {
	if behind.Seq >= last {
		return nil
	}
	gaps, err := p.Gaps(ctx)
	if err != nil {
		return err
	}
	c := chain{next: behind.Seq + 1, gaps: gaps}
	var page []presence.Event
	for c.next <= last {
		page, err = p.events(ctx, page[:0], behind, last)
		for i := 0; err == nil && i < len(page); i++ {
			err = c.add(page[i].Seq)
		}
		if err == nil && len(page) < eventsRead {
			err = c.add(last + 1)
		}
		if err != nil {
			return fmt.Errorf("read the events of app %d behind %d: %w", p.ledger.app, behind.Seq, err)
		}
		if len(page) == 0 {
			return nil
		}
		if err := yield(page); err != nil {
			return err
		}
		end := &page[len(page)-1]
		behind = presence.Cursor{Seq: end.Seq, RecordedAt: end.RecordedAt}
	}
	return nil
}

// events reads the next page into the place of the one before.
func (p *Past) events(ctx context.Context, page []presence.Event, behind presence.Cursor, last int64) ([]presence.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	rows, err := p.db.Query(ctx, `
		select `+eventColumns+`
		  from transitions
		 where app_id = $1 and seq > $2 and seq <= $3 and recorded_at >= coalesce($4::timestamptz, '-infinity')
		 order by seq
		 limit $5`, int64(p.ledger.app), behind.Seq, last, orNull(&behind.RecordedAt), eventsRead)
	if err != nil {
		return nil, err
	}
	return pgx.AppendRows(page, rows, p.ledger.scanEvent)
}

// RecordedSince returns the first event that was recorded at or after a time,
// and when it was; found is false where there is none yet.
func (p *Past) RecordedSince(ctx context.Context, at time.Time) (seq int64, recorded time.Time, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	err = p.db.QueryRow(ctx, `
		select seq, recorded_at
		  from transitions
		 where app_id = $1 and recorded_at >= $2
		 order by seq
		 limit 1`, int64(p.ledger.app), at).Scan(&seq, &recorded)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, time.Time{}, false, nil
	}
	if err != nil {
		return 0, time.Time{}, false, fmt.Errorf("look for the first event of app %d since %s: %w", p.ledger.app, at.Format(time.RFC3339Nano), err)
	}
	return seq, recorded.UTC(), true, nil
}
