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
// stream stays a prefix of the ledger whoever else publishes. Where the end
// cannot be read, because it has expired or was deleted, the cursor that the
// ledger remembers says how far the stream had come; it is written before the
// first event goes into a stream, so that there is none that it does not know.
package relay

import (
	"context"
	"errors"
	"slices"
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
	// recheck is how often a stream that goes is compared with what it has to be.
	recheck = 5 * time.Second
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
	// Tail returns a StreamSeq with an error alone when the stream ends with
	// somebody else's message.
	Tail(ctx context.Context) (presence.Tail, error)
	Append(ctx context.Context, after uint64, events []presence.Event, acked func(i int)) (n int, err error)
}

// Relay tells one app's ledger. All fields are required but the last four. One
// goroutine at a time runs it.
type Relay struct {
	// App is named where a person has something to do.
	App     uint32
	Ledger  Ledger
	Cursors Cursors
	Stream  Stream
	// Woken is sent to when there is something new in the ledger.
	Woken <-chan struct{}
	Log   zerolog.Logger
	// Told is called with each event when it has been acknowledged, and with how
	// many more the ledger had when the round began.
	Told func(e *presence.Event, more int64)
	// Behind is called after each round with how many events the stream lacks,
	// and when the oldest of them was observed (zero when it lacks none). It is
	// not called when the ledger could not be asked.
	Behind func(events int64, oldest time.Time)
	// Health is called after each round: nil, or why nothing can be told.
	Health func(err error)
	// Stands is called when the stream was found to have everything up to seq, or has
	// got it: in each round that gets so far.
	Stands func(seq int64)

	ensured  time.Time // zero when what stands may have changed
	warnings []string
	cursor   presence.Cursor // where the last round ended; the zero value before
	unheard  int             // events sent behind it without an ack: stored or not
	saved    presence.Cursor // the zero value when that is not known
	savedAt  time.Time
	savedOf  time.Time // creation of the stream that the saved cursor is of

	told   int           // since the last line in the log
	took   time.Duration // telling them
	logged time.Time
}

// Run tells until ctx ends. It returns nothing: whatever goes wrong is told by
// Health and tried again.
func (r *Relay) Run(ctx context.Context) {
	ticker := time.NewTicker(clock)
	defer ticker.Stop()
	defer r.log()
	pause := firstPause
	for ctx.Err() == nil {
		before := r.cursor.Seq
		err := r.drain(ctx)
		if time.Since(r.logged) >= clock {
			r.log()
		}
		if ctx.Err() != nil {
			return
		}
		if r.cursor.Seq > before {
			pause = firstPause // it goes on, if slowly
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
	err := r.drain(ctx)
	r.log()
	r.savedAt = time.Time{}
	r.save(ctx)
	return err
}

func (r *Relay) drain(ctx context.Context) error {
	start, told := time.Now(), r.told
	err := r.round(ctx)
	if r.told > told {
		r.took += time.Since(start)
	}
	r.save(ctx)
	if ctx.Err() == nil {
		r.report(ctx, err)
	}
	return err
}

// log writes what has been told since the last line.
func (r *Relay) log() {
	if r.told == 0 {
		return
	}
	r.Log.Info().Int("told", r.told).Int64("seq", r.cursor.Seq).Dur("elapsed", r.took).Msg("drained")
	r.told, r.took, r.logged = 0, 0, time.Now()
}

// round is one passage through the loop above.
func (r *Relay) round(ctx context.Context) error {
	if err := r.ensure(ctx); err != nil {
		return err
	}
	cursor, err := r.position(ctx)
	if contradiction := new(ContradictionError); errors.As(err, &contradiction) {
		r.forget()
	}
	if err != nil {
		return err
	}
	if made := r.cursor.StreamCreated; !made.IsZero() && !made.Equal(cursor.StreamCreated) {
		// Somebody made it anew since it was last compared.
		r.ensured = time.Time{}
		if err := r.ensure(ctx); err != nil {
			return err
		}
	}
	r.cursor, r.unheard = cursor, 0
	if !r.savedOf.Equal(cursor.StreamCreated) {
		// What goes into a stream that is not remembered could not be counted
		// when its end is gone.
		if err := r.saveNow(ctx); err != nil {
			return err
		}
		r.savedOf = cursor.StreamCreated
	}
	r.stands()
	newest, err := r.Ledger.Newest(ctx)
	if err != nil {
		return err
	}
	for {
		events, err := r.Ledger.After(ctx, r.cursor, page)
		if err != nil {
			return err
		}
		if err := r.follows(r.cursor.Seq, events, newest); err != nil || len(events) == 0 {
			return err
		}
		if err := r.append(ctx, events, newest); err != nil {
			r.ensured = time.Time{}
			return err
		}
		r.save(ctx)
	}
}

// forget drops what this relay remembers of a ledger that has become another: it
// must not be saved there, where it would say that events were told which that
// ledger never had.
func (r *Relay) forget() {
	r.cursor, r.unheard = presence.Cursor{}, 0
	r.saved, r.savedOf = presence.Cursor{}, time.Time{}
}

func (r *Relay) ensure(ctx context.Context) error {
	if !r.ensured.IsZero() && time.Since(r.ensured) < recheck {
		return nil
	}
	warnings, err := r.Stream.Ensure(ctx)
	if err != nil {
		r.ensured = time.Time{}
		return err
	}
	if !slices.Equal(warnings, r.warnings) {
		for _, w := range warnings {
			r.Log.Warn().Str("difference", w).Msg("the stream is not as configured")
		}
	}
	r.ensured, r.warnings = time.Now(), warnings
	return nil
}

func (r *Relay) append(ctx context.Context, events []presence.Event, newest int64) error {
	n, err := r.Stream.Append(ctx, r.cursor.StreamSeq, events, func(i int) {
		if r.Told != nil {
			r.Told(&events[i], max(0, newest-events[i].Seq))
		}
	})
	if n > 0 {
		last := &events[n-1]
		r.cursor.Seq, r.cursor.RecordedAt = last.Seq, last.RecordedAt
		r.cursor.StreamSeq += uint64(n)
		r.told += n
		r.stands()
	}
	r.unheard = len(events) - n
	return err
}

func (r *Relay) stands() {
	if r.Stands != nil {
		r.Stands(r.cursor.Seq)
	}
}

// save remembers the cursor now and then.
func (r *Relay) save(ctx context.Context) {
	if time.Since(r.savedAt) < clock && ctx.Err() == nil {
		return
	}
	if err := r.saveNow(ctx); err != nil {
		r.Log.Warn().Err(err).Int64("seq", r.cursor.Seq).Msg("the cursor was not saved")
	}
}

func (r *Relay) saveNow(ctx context.Context) error {
	if r.cursor == r.saved {
		return nil
	}
	r.saved, r.savedAt = presence.Cursor{}, time.Now() // not known, if it fails
	if err := r.Cursors.SaveCursor(context.WithoutCancel(ctx), r.cursor); err != nil {
		return err
	}
	r.saved = r.cursor
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
