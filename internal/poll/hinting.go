package poll

import (
	"context"
	"slices"
	"time"

	"github.com/zim-presence/poller/presence"
)

// Hinting is what becomes of a hint.
type Hinting string

const (
	// HintTaken: the user is asked about.
	HintTaken Hinting = "hinted"
	// HintDoubled: the user is asked about anyway, or was answered to be so just now.
	HintDoubled Hinting = "doubled"
	// HintUnknown: nobody of that id is watched.
	HintUnknown Hinting = "unknown"
	// HintFull: too many are asked about for hints.
	HintFull Hinting = "full"
	// HintLost: the term ended first. The next one asks about everybody at once.
	HintLost Hinting = "lost"
)

// Hintings are all of them.
func Hintings() []Hinting {
	return []Hinting{HintTaken, HintDoubled, HintUnknown, HintFull, HintLost}
}

const (
	// hintShare is the share of the budget that goes for hints at the most: whoever can
	// sign may send as many as they like, and the sweep has to go on.
	hintShare = 0.25
	// slowest is the rate, in requests a second, that a lower one counts as.
	slowest = 0.001
	// hintsWithCanaries is how many of the users of a request are hinted at, where the
	// others tell whether it is to be believed.
	hintsWithCanaries = confirmAtOnce / 2
	// leastCanaries is from how many answered ones on the others tell that.
	leastCanaries = 5
)

// beginHints takes hints from now on, endHints no more.
func (r *Recorder) beginHints() {
	if r.Hints != nil {
		r.hinted = newHinted()
		r.Hints.open()
	}
}

func (r *Recorder) endHints() {
	if r.Hints == nil {
		return
	}
	for range r.Hints.shut() {
		r.Hinted(HintLost)
	}
	r.hinted = newHinted()
}

// hints fires when a hint waits; nil is never.
func (r *Recorder) hints() <-chan struct{} {
	if r.Hints == nil {
		return nil
	}
	return r.Hints.woken
}

// takeHints looks at the hints that wait.
func (r *Recorder) takeHints() {
	if r.Hints == nil {
		return
	}
	for _, h := range r.Hints.take() {
		r.Hinted(r.hint(h, r.now()))
	}
}

func (r *Recorder) hint(h Hint, now time.Time) Hinting {
	k, watched := r.Memory.Know(h.ID)
	switch said := statusOf(h); {
	case !watched:
		return HintUnknown
	case k.Becomes == said, k.Becomes == presence.Unknown && k.Status == said && now.Sub(k.AskedAt) < hintFresh:
		return HintDoubled
	}
	return r.hinted.hint(k.User, h.Online, now)
}

func statusOf(h Hint) presence.Status {
	if h.Online {
		return presence.Online
	}
	return presence.Offline
}

// nextHint is when somebody is to be asked about for a hint, ok false for never.
func (r *Recorder) nextHint() (at time.Time, ok bool) {
	if r.hinted == nil {
		return at, false
	}
	if at, ok = r.hinted.next(); !ok {
		return at, false
	}
	if at = at.Add(gatherFor); at.Before(r.hintsFrom) {
		at = r.hintsFrom
	}
	return at, true
}

// hintsDue begins a look at whom hints want asked about, if it is due, ahead of whoever
// else is to be asked about again. Where not everything is believed as many others come
// with them, by whom the answer is judged.
func (r *Recorder) hintsDue(now time.Time) (hinted, canaries []presence.User) {
	if at, ok := r.nextHint(); !ok || at.After(now) {
		return nil, nil
	}
	most := confirmAtOnce
	if r.gate != nil {
		most = hintsWithCanaries
	}
	for _, u := range r.hinted.take(now, most) {
		if _, watched := r.Memory.Know(u.ID); watched {
			hinted = append(hinted, u)
		} else {
			r.hinted.drop(u.No)
		}
	}
	if len(hinted) == 0 {
		return nil, nil
	}
	r.Memory.AskBeside()
	if r.gate != nil {
		canaries = slices.DeleteFunc(r.Memory.DrawOnline(confirmAtOnce, r.dice), func(u presence.User) bool { return r.hinted.looksAt(u.No) })
		canaries = canaries[:min(len(canaries), confirmAtOnce-most)]
	}
	return hinted, canaries
}

// askAgain asks about whoever is due to be asked about again, for a hint or since a
// change waits.
func (r *Recorder) askAgain(ctx context.Context, now time.Time) {
	if r.lane.flight != nil {
		return
	}
	hinted, canaries := r.hintsDue(now)
	users := slices.Concat(hinted, canaries)
	if len(canaries) > 0 { // some in each batch
		r.dice.Shuffle(len(users), func(a, b int) { users[a], users[b] = users[b], users[a] })
	}
	if due, ok := r.Memory.NextDue(); ok && !due.Add(gatherFor).After(now) {
		for _, u := range r.Memory.Due(now, confirmAtOnce-len(users)) {
			if r.hinted == nil || !r.hinted.looksAt(u.No) {
				users = append(users, u)
			}
		}
	}
	if len(users) > 0 {
		r.lane.fly(ctx, r.Zim, users)
		r.lane.flight.hinted, r.lane.flight.began = hinted, now
	}
}

// hearHints notes what an answer says of the users of hints, before it is observed.
func (r *Recorder) hearHints(w writer, a presence.Answer) {
	if len(r.lane.flight.hinted) == 0 {
		return
	}
	for _, o := range a.Observations {
		if !r.hinted.has(o.User.No) {
			continue // by chance
		}
		r.hinted.hear(o)
		if k, watched := r.Memory.Know(o.User.ID); watched && k.Changes(o, a.AskedAt) {
			r.Sooner(max(0, w.ahead(k.AskedAt)))
		}
	}
}

// landed ends the looks of a call that is over, and says from when on there may be
// another.
func (r *Recorder) landed(f *flight) {
	if len(f.hinted) == 0 {
		return
	}
	r.hinted.looked(f.hinted, r.now())
	pause := float64(f.sent) / (hintShare * max(slowest, r.Rate()))
	r.hintsFrom = f.began.Add(time.Duration(pause * float64(time.Second)))
}

// fair is the part of an answer that tells how many have gone: who was hinted at is no
// fair sample, as long as enough others are well. Else it is all of it: where everybody
// is hinted at, there are no others, and a ZIM that errs may err in both.
func (r *Recorder) fair(a presence.Answer) presence.Answer {
	if r.lane.flight == nil || len(r.lane.flight.hinted) == 0 {
		return a
	}
	others := a
	others.Observations = make([]presence.Observation, 0, len(a.Observations))
	for _, o := range a.Observations {
		if !r.hinted.looksAt(o.User.No) {
			others.Observations = append(others.Observations, o)
		}
	}
	online, flips := r.Memory.Judge(others)
	if online < leastCanaries || (tally{flips, online}).share() >= r.gate.share {
		return a
	}
	return others
}

// ahead is when the next sweep begins. Where in it the user would have its turn nobody
// knows.
func (b between) ahead(time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Until(b.due)
}

// ahead is, for who was answered in this sweep, when the next one is due. Who was not is
// as likely to have its turn soon as at the end, as far as the pace so far tells.
func (s *sweep) ahead(asked time.Time) time.Duration {
	if !asked.Before(s.report.Started) {
		now := time.Now()
		return s.Schedule.Next(now).Sub(now)
	}
	done := s.report.Seen + s.report.MissedTotal()
	if done <= 0 {
		return 0
	}
	elapsed := s.now().Sub(s.report.Started)
	return time.Duration(float64(elapsed) * float64(s.report.rest()) / float64(done) / 2)
}
