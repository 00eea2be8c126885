package poll

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/zim-presence/poller/presence"
)

// defaultPatience is for how long an incident asks again before the last round.
const defaultPatience = 30 * time.Second

// newGate returns what judges the answers, nil where everything is believed.
func (r *Recorder) newGate() *gate {
	if r.MaxOfflineShare == 0 {
		return nil
	}
	patience := r.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	if r.dice == nil {
		r.dice = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	return &gate{share: r.MaxOfflineShare, patience: patience, memory: r.Memory, dice: r.dice}
}

// believe brings an answer to the memory, whoever asked; again says that it came by
// asking again. What is not to be believed at once is gated there. [Recorder.decide]
// is to be called after it.
func (r *Recorder) believe(ctx context.Context, w writer, answer presence.Answer, again bool) error {
	if r.gate == nil {
		r.Memory.Observe(answer, w.number())
		return nil
	}
	if err := r.decide(ctx, w); err != nil {
		return err
	}
	judged := answer
	if again {
		r.gate.hear(answer)
		judged = r.fair(answer)
	}
	if r.gate.suspects(judged, r.now()) {
		doubted := r.Memory.ObserveGated(answer, w.number())
		if !again {
			w.doubt(doubted)
		}
	} else {
		r.Memory.Observe(answer, w.number())
	}
	return nil
}

// decide does what the gate has come to.
func (r *Recorder) decide(ctx context.Context, w writer) error {
	if r.gate == nil {
		return nil
	}
	for {
		now := r.now()
		how, incident := r.gate.turn(now)
		switch how {
		case nothing:
			r.tellGated()
			return nil
		case suspected:
			r.suspect(incident)
			continue
		}
		if err := w.commit(ctx); err != nil { // what comes of it has to be taken alone
			return err
		}
		if how == discarded {
			w.decided(r.Memory.Discard(now), false)
		} else {
			w.decided(nil, true)
			r.Memory.LetGo(now, w.number())
			if err := w.commit(ctx); err != nil {
				return err
			}
		}
		r.agesLeapt(now)
		if how != letGo {
			r.concluded(incident)
		}
	}
}

// suspect writes the line at the beginning of an incident, and reports it.
func (r *Recorder) suspect(i Incident) {
	r.Log.Warn().Int("incident", i.Number).Int("flips", i.Flips).Float64("share", i.Share).Int("gated", r.Memory.Gated()).
		Msg("so many users have gone at once, as ZIM says, that some are asked about again before it is told")
	if r.Incident != nil {
		r.Incident(i)
	}
}

// concluded writes the line at its end, and reports it.
func (r *Recorder) concluded(i Incident) {
	outcome := "discarded"
	if i.Released {
		outcome = "released"
	}
	r.Log.Warn().Int("incident", i.Number).Str("outcome", outcome).Int("flips", i.Flips).Float64("share", i.Share).Int("decided", i.Decided).
		Int("rounds", i.Rounds).Int("sample_asked", i.SampleAsked).Int("sample_answered", i.SampleAnswered).Int("sample_offline", i.SampleOffline).
		Int("canaries_asked", i.CanariesAsked).Int("canaries_answered", i.CanariesAnswered).Int("canaries_offline", i.CanariesOffline).
		Dur("elapsed", i.Ended.Sub(i.Began)).Msg("it is decided about the users who had gone at once")
	if r.Incident != nil {
		r.Incident(i)
	}
}

// tellGated reports how many users are gated, when that is another number than before.
func (r *Recorder) tellGated() {
	if n := r.Memory.Gated(); n != r.gatedBy {
		r.gatedBy = n
		if r.Gated != nil {
			r.Gated(n)
		}
	}
}

// decideAt is when something is to be done about who is gated; zero for never.
func (r *Recorder) decideAt() time.Time {
	if r.gate == nil {
		return time.Time{}
	}
	return r.gate.next(r.lane.flight == nil)
}

// askAboutIncident begins a round of asking again, if one is due, ahead of whoever
// else is.
func (r *Recorder) askAboutIncident(ctx context.Context, w writer) error {
	if r.gate == nil || r.lane.flight != nil {
		return nil
	}
	users := r.gate.ask(r.now())
	if len(users) == 0 {
		return r.decide(ctx, w)
	}
	r.lane.fly(ctx, r.Zim, users)
	r.alive()
	return nil
}

// askedAboutIncident ends a round, if one is under way.
func (r *Recorder) askedAboutIncident(ctx context.Context, w writer) error {
	if r.gate == nil {
		return nil
	}
	r.gate.asked(r.now())
	r.alive()
	return r.decide(ctx, w)
}

// undecided tells whether users are gated, or may yet be so by what is counted.
func (r *Recorder) undecided() bool { return r.gate != nil && r.gate.shut() }

// giveUp forgets what was gated and not decided, when the term is over.
func (r *Recorder) giveUp() {
	if r.gate != nil {
		r.Memory.DropGated()
		r.tellGated()
		r.gate = r.newGate()
	}
}

// count, spent and decided between two sweeps concern no report.
func (between) count(presence.Answer, bool)   {}
func (between) spent(int)                     {}
func (between) doubt([]uint32)                {}
func (between) decided([]presence.Held, bool) {}

func (s *sweep) spent(requests int) { s.report.Again += requests }

func (s *sweep) doubt(users []uint32) {
	s.doubted = append(s.doubted, users...)
	s.report.Seen -= len(users)
}

// decided counts who was answered and gated or doubted: who is discarded was missed,
// and with them who is not believed.
func (s *sweep) decided(discarded []presence.Held, believed bool) {
	for _, h := range discarded {
		if _, of := s.gated[h.User.No]; of {
			delete(s.gated, h.User.No)
			s.disbelieve(h.User.No)
		}
	}
	s.report.Seen += len(s.gated)
	clear(s.gated)
	if believed {
		s.report.Seen += len(s.doubted)
	} else {
		s.disbelieve(s.doubted...)
	}
	s.doubted = nil
}

func (s *sweep) disbelieve(users ...uint32) {
	if len(users) == 0 {
		return // a reason of which there is nobody is none
	}
	s.report.Missed[presence.MissImplausible] += len(users)
	s.missed = append(s.missed, users...)
}

// count counts the observations of an answer that is observed already. Who is gated
// is neither seen nor missed before that is decided, or before asking again brings
// that they are online.
func (s *sweep) count(a presence.Answer, again bool) {
	if again {
		s.countBack(a)
		return
	}
	s.report.Seen += len(a.Observations)
	if s.Memory.Gated() == 0 {
		return
	}
	for _, o := range a.Observations {
		if o.Status == presence.Offline && s.Memory.IsGated(o.User) {
			if s.gated == nil {
				s.gated = map[uint32]struct{}{}
			}
			s.gated[o.User.No] = struct{}{}
			s.report.Seen--
		}
	}
}

// countBack counts who was gated and is online.
func (s *sweep) countBack(a presence.Answer) {
	if len(s.gated) == 0 {
		return
	}
	for _, o := range a.Observations {
		if _, of := s.gated[o.User.No]; of && o.Status == presence.Online && !s.Memory.IsGated(o.User) {
			delete(s.gated, o.User.No)
			s.report.Seen++
		}
	}
}
