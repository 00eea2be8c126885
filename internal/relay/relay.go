// Package relay is the corridor that tells: it publishes what the ledger has
// and the stream has not, in order and each event once. It imports presence
// alone and declares what it needs of the ledger and of the stream.
//
//	           ┌──────────── any surprise: wait, then from the top ───────────┐
//	           ↓                                                              │
//	commit ─→ tail ─→ compare with its ledger row ─→ ledger behind it ─→ append ─→ idle
//	clock ──→  ↑                                                                    │
//	           └────────────────────────────────────────────────────────────────────┘
//
// The stream is its own cursor. Live, catching up after an outage, and recovery
// after a crash are this one loop: what the stream's end says has been told has
// been told. Each publish names the message that it has to follow, so that the
// stream stays a prefix of the ledger whoever else publishes.
package relay

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/presence"
)

const (
	// page is how many events are read and appended at a time.
	page = 2000
	// clock is how often the stream is looked at without a commit; so a wake-up
	// that was missed, or a stream that lost its end, is made good soon.
	clock = time.Second
	// The waits after a surprise, doubling from the first to the last.
	firstPause, lastPause = 100 * time.Millisecond, 5 * time.Second
)

// Ledger is what there is to tell, in order.
type Ledger interface {
	After(ctx context.Context, c presence.Cursor, limit int) ([]presence.Event, error)
	Event(ctx context.Context, seq int64) (e presence.Event, found bool, err error)
	Newest(ctx context.Context) (seq int64, err error)
}

// Cursors remembers how far the ledger has been told, for when the stream's end
// cannot be read.
type Cursors interface {
	Cursor(ctx context.Context) (presence.Cursor, error)
	SaveCursor(ctx context.Context, c presence.Cursor) error
}

// Stream is where it is told.
type Stream interface {
	Ensure(ctx context.Context) (warnings []string, err error)
	Tail(ctx context.Context) (presence.Tail, error)
	Append(ctx context.Context, after uint64, events []presence.Event, acked func(i int)) (n int, err error)
}

// Relay tells one app's ledger. All fields are required but the last three. One
// goroutine at a time runs it.
type Relay struct {
	Ledger  Ledger
	Cursors Cursors
	Stream  Stream
	// Woken is sent to when there is something new in the ledger.
	Woken <-chan struct{}
	Log   zerolog.Logger
	// Told is called with each event when it has been acknowledged.
	Told func(e *presence.Event)
	// Behind is called after each round with how many events the stream lacks,
	// and when the oldest of them was observed (zero when it lacks none).
	Behind func(events int64, oldest time.Time)
	// Health is called after each round: nil, or why nothing can be told.
	Health func(err error)

	ensured bool
	cursor  presence.Cursor // where the last round ended; the zero value before
	saved   presence.Cursor
	savedAt time.Time
	told    int // since the last line in the log
}

// Run tells until ctx ends. It returns nothing: whatever goes wrong is told by
// Health and tried again.
func (r *Relay) Run(ctx context.Context) {
	ticker := time.NewTicker(clock)
	defer ticker.Stop()
	pause := firstPause
	for ctx.Err() == nil {
		err := r.Drain(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.Log.Warn().Err(err).Int64("seq", r.cursor.Seq).Dur("pause", pause).Msg("cannot tell")
			wait(ctx, pause)
			pause = min(2*pause, lastPause)
			continue
		}
		pause = firstPause
		select {
		case <-r.Woken:
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// Drain tells everything that the ledger holds. An error means that some of it
// has not been told, and why; calling again goes on where the stream ends.
func (r *Relay) Drain(ctx context.Context) error {
	start := time.Now()
	err := r.round(ctx)
	if r.told > 0 && (err != nil || time.Since(r.savedAt) >= clock) {
		r.Log.Info().Int("told", r.told).Int64("seq", r.cursor.Seq).Dur("elapsed", time.Since(start)).Msg("drained")
		r.told = 0
	}
	r.save(ctx)
	if ctx.Err() == nil {
		r.report(ctx, err)
	}
	return err
}

// round is one passage through the loop above.
func (r *Relay) round(ctx context.Context) error {
	if err := r.ensure(ctx); err != nil {
		return err
	}
	cursor, err := r.position(ctx)
	if err != nil {
		return err
	}
	r.cursor = cursor
	for {
		events, err := r.Ledger.After(ctx, r.cursor, page)
		if err != nil || len(events) == 0 {
			return err
		}
		if err := follows(r.cursor.Seq, events); err != nil {
			return err
		}
		if err := r.append(ctx, events); err != nil {
			r.ensured = false // what stands may have changed
			return err
		}
	}
}

func (r *Relay) ensure(ctx context.Context) error {
	if r.ensured {
		return nil
	}
	warnings, err := r.Stream.Ensure(ctx)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		r.Log.Warn().Str("difference", w).Msg("the stream is not as configured")
	}
	r.ensured = true
	return nil
}

func (r *Relay) append(ctx context.Context, events []presence.Event) error {
	n, err := r.Stream.Append(ctx, r.cursor.StreamSeq, events, func(i int) {
		if r.Told != nil {
			r.Told(&events[i])
		}
	})
	if n > 0 {
		last := &events[n-1]
		r.cursor.Seq, r.cursor.RecordedAt = last.Seq, last.RecordedAt
		r.cursor.StreamSeq += uint64(n)
		r.told += n
	}
	return err
}

// save remembers the cursor: at once when it speaks of another stream than the
// one remembered, else now and then.
func (r *Relay) save(ctx context.Context) {
	if r.cursor == r.saved || r.cursor.Seq == 0 ||
		r.cursor.StreamCreated.Equal(r.saved.StreamCreated) && time.Since(r.savedAt) < clock && ctx.Err() == nil {
		return
	}
	if err := r.Cursors.SaveCursor(context.WithoutCancel(ctx), r.cursor); err != nil {
		r.Log.Warn().Err(err).Int64("seq", r.cursor.Seq).Msg("the cursor was not saved")
		return
	}
	r.saved, r.savedAt = r.cursor, time.Now()
}

func (r *Relay) report(ctx context.Context, err error) {
	if r.Health != nil {
		r.Health(err)
	}
	if r.Behind == nil {
		return
	}
	if err == nil {
		r.Behind(0, time.Time{})
		return
	}
	newest, errNewest := r.Ledger.Newest(ctx)
	untold, errUntold := r.Ledger.After(ctx, r.cursor, 1)
	if errNewest != nil || errUntold != nil || len(untold) == 0 {
		return // the ledger is away too, which others report
	}
	r.Behind(newest-r.cursor.Seq, untold[0].ObservedAt)
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
