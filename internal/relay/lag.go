package relay

import (
	"context"
	"time"
)

// report says how a round went.
func (r *Relay) report(ctx context.Context, err error) {
	if r.Health != nil {
		r.Health(err)
	}
	if r.Behind == nil {
		return
	}
	if err == nil {
		r.Behind(0, time.Time{})
	} else if n, oldest, errLag := r.lag(ctx); errLag == nil {
		r.Behind(n, oldest)
	} // else the ledger is away too, which others report
}

// lag is what the stream lacks behind the end of the last round or, before the
// first, behind the cursor that is remembered.
func (r *Relay) lag(ctx context.Context) (events int64, oldest time.Time, err error) {
	from := r.cursor
	if from.StreamCreated.IsZero() {
		if from, err = r.Cursors.Cursor(ctx); err != nil {
			return 0, oldest, err
		}
	}
	untold, err := r.Ledger.After(ctx, from, 1)
	if err != nil || len(untold) == 0 {
		return 0, oldest, err
	}
	newest, err := r.Ledger.Newest(ctx)
	return newest - untold[0].Seq + 1, untold[0].KnownAt(), err
}
