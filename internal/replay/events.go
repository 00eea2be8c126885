package replay

import (
	"context"

	"github.com/zim-presence/poller/presence"
)

// Ledger is what the events are read from.
type Ledger interface {
	// Page returns the next wanted events behind the cursor, up to last; the cursor
	// behind those that were looked at; and how many of these were erased.
	Page(ctx context.Context, behind presence.Cursor, last int64) (events []presence.Event, end presence.Cursor, erased int64, err error)
}

// events writes the events behind one, to the end of the range.
func (w *writer) events(ctx context.Context, seq int64) error {
	r := w.replay
	at := presence.Cursor{Seq: seq, RecordedAt: r.Since}
	for at.Seq < r.Last {
		page, end, erased, err := r.Ledger.Page(ctx, at, r.Last)
		if err != nil {
			return err
		}
		s := sheet{seq: end.Seq, erased: erased, messages: make([]presence.Retold, 0, len(page))}
		for i := range page {
			if err := w.add(&s, &page[i]); err != nil {
				return err
			}
		}
		if err := w.hand(ctx, s); err != nil {
			return err
		}
		at = end
	}
	return nil
}
