package poll

import (
	"context"
	"time"

	"github.com/zim-presence/poller/internal/diff"
)

// Settings are what may change while a term goes on. [Recorder] says what they mean.
type Settings struct {
	Schedule        Schedule
	AllowSuddenDrop bool
	Hold            diff.Hold
	StaleAfter      time.Duration
	MaxOfflineShare float64
	Patience        time.Duration
}

// change has other settings count from now on; a sweep that runs goes on. What it was
// between two answers stays as it was:
//
//   - A due time is one of the new schedule from now on. What of it lies before now is
//     none, so that none is skipped for the change.
//   - What a hold holds back is asked about again when the new hold is over for it: at
//     once, where that is so already. It is told when an answer confirms it, as ever.
//   - Where ages begin to count, nobody goes stale before there was the time to ask
//     again. Who is stale already, when they cease to, is so until the next answer.
//   - When everything is believed from now on, what was not believed so far is
//     discarded, since it may be old: the next answers say what is true.
func (r *Recorder) change(ctx context.Context, w writer, s Settings) error {
	now := r.now()
	r.AllowSuddenDrop = s.AllowSuddenDrop
	if s.Schedule != r.Schedule {
		r.Schedule = s.Schedule
		if moment := time.Now(); !r.Schedule.Next(r.from).After(moment) {
			r.from = moment
		}
	}
	if s.Hold != r.Hold {
		r.Hold = s.Hold
		r.Memory.SetHold(r.Hold, r.Suppressed)
	}
	r.changeAges(s.StaleAfter, now)
	return r.changeGate(ctx, w, s, now)
}

func (r *Recorder) changeAges(staleAfter time.Duration, now time.Time) {
	if staleAfter == r.StaleAfter {
		return
	}
	if r.StaleAfter == 0 {
		r.leapt = now.Add(staleAfter) // nobody has watched the clock
	}
	r.StaleAfter = staleAfter
	r.judgeAt = r.began.Add(staleAfter)
	r.agesLeapt(now)
}

func (r *Recorder) changeGate(ctx context.Context, w writer, s Settings, now time.Time) error {
	if s.MaxOfflineShare == r.MaxOfflineShare && s.Patience == r.Patience {
		return nil
	}
	r.MaxOfflineShare, r.Patience = s.MaxOfflineShare, s.Patience
	before, next := r.gate, r.newGate()
	switch {
	case before == nil:
		r.gate = next
		return nil
	case next != nil: // an incident keeps the patience that it began with
		before.share, before.patience = next.share, next.patience
		return nil
	}
	if before.shut() {
		if err := w.commit(ctx); err != nil { // what comes of it has to be taken alone
			return err
		}
		cut, gated := before.incident, r.Memory.Gated()
		w.decided(r.Memory.Discard(now), false)
		r.agesLeapt(now)
		if cut != nil {
			r.concluded(cut.end(now, false, gated))
		}
	}
	r.gate = nil
	r.tellGated()
	return w.commit(ctx)
}
