package poll

import (
	"context"
	"time"
)

// How often ages are judged, at the least and at the most.
const (
	oftenJudged  = time.Second
	seldomJudged = time.Minute
)

// judgeAge tells who is stale, if ages are judged. It is due first when this term has
// asked about everybody once, or could have for as long as is allowed: what an
// earlier holder, or a stop, left behind is asked about before it is judged.
func (r *Recorder) judgeAge(ctx context.Context, w writer) error {
	if r.StaleAfter == 0 {
		return nil
	}
	now := r.now()
	if now.Before(r.leapt) {
		r.judgeAt = r.leapt
		return nil
	}
	if err := w.commit(ctx); err != nil { // what comes of it has to be taken alone
		return err
	}
	users, next := r.Memory.JudgeAge(r.StaleAfter, now, w.number())
	pause := min(max(oftenJudged, r.StaleAfter/10), seldomJudged)
	if wait := next.Sub(now); !next.IsZero() && wait > pause {
		pause = min(wait, seldomJudged)
	}
	r.judgeAt = now.Add(pause)
	if users == 0 {
		return nil
	}
	r.Log.Debug().Int("users", users).Msg("no answer for too long")
	if err := w.commit(ctx); err != nil {
		return err
	}
	return r.decide(ctx, w) // there may be nobody left to decide about
}

// agesLeapt has ages judged now, if they count already. It was decided about who was
// gated: where the newest answer was discarded the one before it counts again.
func (r *Recorder) agesLeapt(now time.Time) {
	if (r.asked || !now.Before(r.began.Add(r.StaleAfter))) && r.judgeAt.After(now) {
		r.judgeAt = now
	}
}

// watchClock keeps ages from counting when the clock was set forward, by much of what
// is allowed: everybody would be stale who was answered a moment ago. They count
// again when there was the time to ask about everybody once more.
func (r *Recorder) watchClock(now time.Time) {
	elapsed := time.Now()
	leap := now.Sub(r.read) - elapsed.Sub(r.readAt)
	if !r.read.IsZero() && r.StaleAfter > 0 && leap > max(oftenJudged, r.StaleAfter/10) {
		r.leapt = now.Add(r.StaleAfter)
		r.Log.Warn().Dur("leap", leap).Msg("the clock was set forward; nobody goes stale before there was the time to ask again")
	}
	r.read, r.readAt = now, elapsed
}

// askedOnce notes that a sweep has asked, or that ZIM could not be asked: from now on
// ages count. A sweep that could not even read whom to ask about is none.
func (r *Recorder) askedOnce() {
	if now := r.now(); !r.asked && r.judgeAt.After(now) {
		r.judgeAt = now
	}
	r.asked = true
}
