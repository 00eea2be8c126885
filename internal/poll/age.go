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
	return w.commit(ctx)
}

// askedOnce notes that a sweep has asked, or could not: from now on ages count.
func (r *Recorder) askedOnce() {
	if now := r.now(); !r.asked && r.judgeAt.After(now) {
		r.judgeAt = now
	}
	r.asked = true
}
