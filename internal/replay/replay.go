package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/presence"
)

const (
	// clock is about how often the row is moved, also where nothing is told meanwhile.
	clock = time.Second
	// patience is how long weather may last. It is longer than a server remembers ids.
	patience = 3 * time.Minute
	// The waits after weather, doubling from the first to the last.
	firstPause, lastPause = 100 * time.Millisecond, 5 * time.Second
)

// Teller is where it is told.
type Teller interface {
	Ensure(ctx context.Context) (warnings []string, err error)
	End(ctx context.Context) (presence.ReplayEnd, error)
	// Tell tells messages that follow each other, and says how many from the first on
	// were told. told is called as that becomes known.
	Tell(ctx context.Context, messages []presence.Retold, told func(n int)) (n int, err error)
}

// Book is the row of the replay. Its writes fail when somebody else tells the
// replay now.
type Book interface {
	Move(ctx context.Context, seq, told int64) error
	End(ctx context.Context, seq, told int64) error
	// Erased tells whether a user was erased since the replay was started.
	Erased(ctx context.Context) (bool, error)
	// Erasures counts who was ever erased.
	Erasures(ctx context.Context) (int64, error)
}

// Replay tells one range again. Which fields are needed is told with each. One
// goroutine runs it, once.
type Replay struct {
	App  uint32
	Name string
	// LedgerLog is the log of the ledger, as in the ids of events.
	LedgerLog string

	// First and Last are the range of events, both ends included; First is one more
	// than Last where it is empty. Since is when First was recorded, at the latest;
	// zero where that is not known.
	First, Last int64
	Since       time.Time
	Ledger      Ledger

	// WithState begins with the state behind the event First - 1, true At that time.
	// Net tells net changes in place of events, from snapshot to snapshot: Sweeps are
	// the first and the last, and the state is that of the first. For both Snapshots
	// and Names are needed. Kept is how many snapshots were kept from the first to the
	// last when the replay was started.
	WithState bool
	At        time.Time
	Net       bool
	Sweeps    [2]int64
	Kept      int64
	Users     map[uint32]bool // whose state and net changes; nil for everybody
	Kinds     []presence.Kind // of net changes; empty for all
	Snapshots Snapshots
	Names     Names

	Teller Teller
	Book   Book
	// ToldSeq and Told are what the row says.
	ToldSeq, Told int64

	// Rate is how many messages a second are told, evenly paced; 0: as many as can be.
	Rate float64
	// Weather tells errors that pass.
	Weather func(error) bool
	Log     zerolog.Logger
	// Progress, if not nil, is called as messages are told.
	Progress func(Report)

	report   Report
	moved    time.Time
	erasures int64 // when the round began to read
	pace     pace
}

// ErrCannotCount says that nothing says any more how far the replay was.
var ErrCannotCount = errors.New("its stream has lost its messages, and since it was started users were erased, or snapshots dropped: how far it was cannot be told any more; " +
	"drop it, and start it again")

// errErased says that somebody was erased since the pages were read that are still
// to be told: at a low rate they would be told long after.
var errErased = errors.New("somebody was erased meanwhile")

// Run tells until everything is told, or until ctx ends or something breaks; the
// replay can be run again then, and goes on where it was. Weather is waited for,
// three minutes at the most without getting further.
func (r *Replay) Run(ctx context.Context) (Report, error) {
	r.report = Report{Seq: r.ToldSeq, Told: r.Told}
	r.pace = pace{rate: r.Rate}
	pause, since := firstPause, time.Now()
	for {
		told := r.report.Now
		err := r.round(ctx)
		switch {
		case err == nil:
			return r.report, r.Book.End(context.WithoutCancel(ctx), max(r.report.Seq, r.Last), r.report.Told)
		case errors.Is(err, errErased):
			continue
		case ctx.Err() != nil || !r.Weather(err):
			return r.report, r.leave(ctx, err)
		}
		if r.report.Now > told {
			pause, since = firstPause, time.Now()
		}
		if time.Since(since) > patience {
			return r.report, r.leave(ctx, err)
		}
		r.Log.Warn().Err(err).Int64("told", r.report.Told).Dur("pause", pause).Msg("cannot replay")
		if err := r.wait(ctx, time.Now().Add(pause)); err != nil && !r.Weather(err) && !errors.Is(err, errErased) {
			return r.report, r.leave(ctx, err)
		}
		pause = min(2*pause, lastPause)
	}
}

// leave notes how far it is; that this fails loses nothing where there is a stream.
func (r *Replay) leave(ctx context.Context, err error) error {
	return errors.Join(err, r.Book.Move(context.WithoutCancel(ctx), r.report.Seq, r.report.Told))
}

// round goes on behind the end of the stream until everything is told.
func (r *Replay) round(ctx context.Context) error {
	warnings, err := r.Teller.Ensure(ctx)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		r.Log.Warn().Str("difference", w).Msg("the stream of the replay is not as asked")
	}
	if r.erasures, err = r.Book.Erasures(ctx); err != nil {
		return err
	}
	at, skip, err := r.stand(ctx)
	if err != nil {
		return err
	}
	if err := r.move(ctx); err != nil { // at once: who waits for the replay sees that somebody is at it
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &writer{replay: r, position: r.report.Told - skip, skip: r.report.Told, sheets: make(chan sheet, 1)}
	done := make(chan error, 1)
	go func() { defer close(w.sheets); done <- w.write(ctx, at) }()
	err = r.tellAll(ctx, w.sheets)
	cancel()
	for range w.sheets { // until the writer is gone
	}
	if written := <-done; err == nil { // else it was only told to stop
		err = written
	}
	return err
}

func (r *Replay) tellAll(ctx context.Context, sheets <-chan sheet) error {
	for s := range sheets {
		if err := r.tell(ctx, s.messages); err != nil {
			return err
		}
		r.report.Erased, r.report.Nameless = r.report.Erased+s.erased, r.report.Nameless+s.nameless
		r.report.Seq = max(r.report.Seq, s.seq)
		if err := r.move(ctx); err != nil {
			return err
		}
		r.progress()
	}
	return nil
}

// tell tells the messages at the rate asked for.
func (r *Replay) tell(ctx context.Context, messages []presence.Retold) error {
	for len(messages) > 0 {
		n := r.pace.portion(len(messages))
		if err := r.wait(ctx, r.pace.next(n)); err != nil {
			return err
		}
		before := r.report
		n, err := r.Teller.Tell(ctx, messages[:n], func(n int) {
			last := &messages[n-1]
			r.report.Told, r.report.Seq, r.report.Now = last.Position, max(before.Seq, last.Seq), before.Now+int64(n)
			if n%1000 == 0 {
				r.progress()
			}
		})
		if err != nil {
			return err
		}
		messages = messages[n:]
	}
	return nil
}

func (r *Replay) progress() {
	if r.Progress != nil {
		r.Progress(r.report)
	}
}

// move notes how far it is, now and then, and sees whether what was read is still
// to be told.
func (r *Replay) move(ctx context.Context) error {
	if time.Since(r.moved) < clock {
		return nil
	}
	r.moved = time.Now()
	if err := r.Book.Move(ctx, r.report.Seq, r.report.Told); err != nil {
		return fmt.Errorf("note how far the replay %s is: %w", r.Name, err)
	}
	erasures, err := r.Book.Erasures(ctx)
	if err == nil && erasures != r.erasures {
		err = errErased
	}
	return err
}

// wait waits until a time, and keeps the row moving meanwhile.
func (r *Replay) wait(ctx context.Context, until time.Time) error {
	for {
		left := time.Until(until)
		if left <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(min(left, clock))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		if err := r.move(ctx); err != nil {
			return err
		}
	}
}
