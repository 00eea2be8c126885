package poll

import (
	"context"
	"errors"
	"time"

	"github.com/zim-presence/poller/presence"
)

// begin readies what goes on beside the sweeps. The first sweep of a term does so.
func (r *Recorder) begin() {
	if !r.began.IsZero() {
		return
	}
	r.began = r.now()
	r.Memory.SetHold(r.Hold, r.Suppressed)
	r.judgeAt = r.began.Add(r.StaleAfter)
	r.gate = r.newGate()
	r.waiting()
	r.beginHints()
	r.count()
}

// end ends what goes on beside the sweeps, and waits for it. What is held back stays
// so in the ledger.
func (r *Recorder) end() {
	r.lane.stop()
	r.endHints()
	r.giveUp()
	if r.timer != nil {
		r.timer.Stop()
	}
	if r.Waiting != nil {
		r.Waiting(0)
	}
}

// now is the time of the app.
func (r *Recorder) now() time.Time {
	read := time.Now
	if r.Now != nil {
		read = r.Now
	}
	now := presence.Instant(read())
	r.watchClock(now)
	return now
}

// wake fires when [Recorder.turn] has something to do; nil is never. It is to be
// asked for anew each time.
func (r *Recorder) wake() <-chan time.Time {
	at, ok := r.nextTurn()
	if !ok {
		return nil
	}
	left := min(max(0, at.Sub(r.now())), time.Minute) // the clock may be set
	if r.timer == nil {
		r.timer = time.NewTimer(left)
	} else {
		r.timer.Reset(left)
	}
	return r.timer.C
}

// nextTurn is when the next thing beside the asking is due.
func (r *Recorder) nextTurn() (at time.Time, ok bool) {
	if r.lane.flight == nil {
		if at, ok = r.Memory.NextDue(); ok {
			at = at.Add(gatherFor)
		}
		if hint, due := r.nextHint(); due && (!ok || hint.Before(at)) {
			at, ok = hint, true
		}
	}
	if decide := r.decideAt(); !decide.IsZero() && (!ok || decide.Before(at)) {
		at, ok = decide, true
	}
	if r.StaleAfter > 0 && (!ok || r.judgeAt.Before(at)) {
		at, ok = r.judgeAt, true
	}
	if r.Census != nil && (!ok || r.countAt.Before(at)) {
		at, ok = r.countAt, true
	}
	return at, ok
}

// turn does what is due beside the asking.
func (r *Recorder) turn(ctx context.Context, w writer) error {
	if err := r.decide(ctx, w); err != nil {
		return err
	}
	if err := r.askAboutIncident(ctx, w); err != nil {
		return err
	}
	r.takeHints()
	now := r.now()
	r.askAgain(ctx, now)
	if r.StaleAfter > 0 && !r.judgeAt.After(now) {
		if err := r.judgeAge(ctx, w); err != nil {
			return err
		}
	}
	if !r.countAt.After(now) {
		r.count()
	}
	return nil
}

// hear records what was answered to the one who asks again, or, when open is false,
// ends the call.
func (r *Recorder) hear(ctx context.Context, w writer, answer presence.Answer, open bool) error {
	if open {
		r.hearHints(w, answer)
		if err := r.believe(ctx, w, answer, true); err != nil {
			return err
		}
		w.count(answer, true)
		if err := r.decide(ctx, w); err != nil {
			return err
		}
		return w.commit(ctx)
	}
	f := r.lane.land()
	w.spent(f.sent)
	if f.err != nil && !errors.Is(f.err, context.Canceled) {
		r.Log.Debug().Err(f.err).Int("users", len(f.users)).Msg("asked again in vain; once more later")
	}
	r.Memory.AskedAgain(f.users, r.now())
	r.landed(f)
	return r.askedAboutIncident(ctx, w)
}

// waiting reports how many changes are held back.
func (r *Recorder) waiting() {
	if r.Waiting != nil {
		r.Waiting(r.Memory.Held())
	}
}
