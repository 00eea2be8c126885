package poll

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/presence"
)

// String is an event for people.
func (f foretold) String() string {
	const form = "15:04:05.000000"
	return fmt.Sprintf("%s from %s to %s %s after %s observed %s confirmed %s", f.kind, f.from, f.to, f.detail, f.after.Format(form), f.observed.Format(form), f.confirmed.Format(form))
}

// seer is an oracle: from every answer, in the order in which they are delivered,
// it foretells the exact events, by the rules as they are written for people. It
// shares no code with what it judges. It is told of everything before it happens,
// and holds what then happens to what it foretold: every event before the next
// thing happens.
type seer struct {
	mu         sync.Mutex
	hold       map[presence.Status]time.Duration
	staleAfter time.Duration
	maxShare   float64 // 0: everything is believed
	patience   time.Duration
	people     map[string]*person
	wrong      error // the first thing that was

	agesMay, agesMust time.Time // from when on ages may count in this term, and from when on they have to
	wary              time.Time // until when every window is an incident
	touched           time.Time // when ages may have leapt, since it was decided about answers

	calling  []string // whom is asked about again at the moment
	laneFree time.Time
	trial    *trial

	suppressed map[string]diff.Suppressed // foretold, by user
	aged       map[string]diff.Suppressed // not foretold: who went stale
	incidents  []Incident                 // foretold, their beginnings and their ends
	counted    int                        // incidents of this term
	reply      map[string]string          // what the sweep under way has of each user: seen, gated, or why missed
}

// person is one user.
type person struct {
	id             string
	no             uint32
	watched, stale bool
	lately         bool            // stale, and told online before, in this term
	status         presence.Status // as told
	detail         presence.Detail
	said           time.Time // when was asked what said last what is told
	staleAt        time.Time
	wait           *unsure
	coming         []foretold // events that are to come now
	stored         *person    // as a restart finds them
	dirty          time.Time  // since when not as stored; zero if it is
}

// unsure is a change that is not told.
type unsure struct {
	to            presence.Status
	detail        presence.Detail
	seenAt, asked time.Time
	gated, flip   bool
	due           time.Time // to be asked again; zero while that is under way
	letGo         time.Time // zero if it was not gated
	pause         time.Duration
}

// foretold is an event.
type foretold struct {
	kind                       presence.Kind
	from, to                   presence.Status
	detail                     presence.Detail
	after, observed, confirmed time.Time
}

// trial is a window, and then perhaps an incident.
type trial struct {
	began, ends   time.Time // of the window
	flips, online int
	incident      bool
	patienceOver  time.Time
	due           time.Time
	pause         time.Duration
	rounds        int
	lastOne       bool                       // the round under way began when patience was over
	sample, birds map[string]presence.Status // of the round under way, nil for none
	heldSample    map[string]presence.Status // of the round before
	heldBirds     map[string]presence.Status
}

func (s *seer) fail(format string, args ...any) {
	if s.wrong == nil {
		s.wrong = fmt.Errorf("%s: "+format, append([]any{time.Now().UTC().Format("15:04:05.000000")}, args...)...)
	}
}

// sorted are all people, in order.
func (s *seer) sorted() []*person {
	return slices.SortedFunc(maps.Values(s.people), func(a, b *person) int { return cmp.Compare(a.no, b.no) })
}

func first(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func last(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// tell foretells an event, and makes the change.
func (p *person) tell(kind presence.Kind, to presence.Status, detail presence.Detail, observed, confirmed time.Time) {
	f := foretold{kind: kind, from: p.status, to: to, detail: detail, observed: observed, confirmed: confirmed}
	if p.stale {
		p.said = p.staleAt
	}
	if kind != presence.KindBaseline {
		f.after = first(p.said, observed)
	}
	p.coming = append(p.coming, f)
	p.lately = kind == presence.KindStale && p.status == presence.Online
	p.status, p.detail, p.stale = to, detail, kind == presence.KindStale
	p.dirty = last(observed, confirmed)
}

// suppress foretells that the change that waits is never told.
func (s *seer) suppress(p *person, at time.Time, why diff.Why) {
	if p.wait == nil {
		return
	}
	s.suppressed[p.id] = diff.Suppressed{At: at, Why: why, Held: presence.Held{
		User: presence.User{No: p.no, ID: p.id}, To: p.wait.to, Detail: p.wait.detail, After: first(p.said, p.wait.seenAt), SeenAt: p.wait.seenAt,
	}}
	if !p.wait.gated {
		p.dirty = at
	}
	p.wait = nil
}

// behind tells whether an answer was asked for before the newest about a person
// was: nobody knows then which of the two is the later truth.
func (p *person) behind(a presence.Answer) bool { return a.AskedAt.Before(p.age()) }

// age is when was asked what counts for the age.
func (p *person) age() time.Time {
	if p.wait != nil {
		return p.wait.asked
	}
	return p.said
}

// answered is told of an answer that is about to be delivered.
func (s *seer) answered(a presence.Answer, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until(a.At)
	suspicious := s.suspects(a)
	if t := s.trial; again && t != nil && t.sample != nil {
		for _, o := range a.Observations {
			if _, of := t.sample[o.User.ID]; of {
				t.sample[o.User.ID] = o.Status
			}
			if _, of := t.birds[o.User.ID]; of {
				t.birds[o.User.ID] = o.Status
			}
		}
	}
	for _, o := range a.Observations {
		p := s.people[o.User.ID]
		doubted := false
		if p != nil && p.watched && !p.behind(a) {
			// Of who is known to be offline, or may be so soon, a doubtful answer says nothing.
			doubted = suspicious && o.Status == presence.Offline &&
				(p.wait == nil && p.status == presence.Offline || p.wait != nil && !p.wait.gated)
			if !doubted {
				s.observed(p, o, a, suspicious)
			}
		}
		if again && o.Status == presence.Online && s.reply[o.User.ID] == "gated" && (p.wait == nil || !p.wait.gated) {
			s.reply[o.User.ID] = "seen"
		}
		if !again {
			s.reply[o.User.ID] = "seen"
			if doubted {
				s.reply[o.User.ID] = "doubted"
			} else if p.wait != nil && p.wait.gated && o.Status == presence.Offline {
				s.reply[o.User.ID] = "gated"
			}
		}
	}
	for _, m := range a.Missed {
		if !again {
			s.reply[m.User.ID] = string(m.Reason)
		}
	}
	s.settle(a.At)
}

// suspects counts an answer, and tells whether its flips are kept back.
func (s *seer) suspects(a presence.Answer) bool {
	if s.maxShare == 0 {
		return false
	}
	flips, online := 0, 0
	for _, o := range a.Observations {
		p := s.people[o.User.ID]
		if p == nil || !p.watched || p.status != presence.Online && !p.lately || p.wait != nil || p.behind(a) {
			continue
		}
		online++
		if o.Status == presence.Offline {
			flips++
		}
	}
	suspicious := (flips >= 10 || flips > 0 && s.trial != nil) && float64(flips)/float64(online) >= s.maxShare
	if suspicious && s.trial == nil {
		s.trial = &trial{began: a.At, ends: a.At.Add(2 * time.Second)}
	}
	if t := s.trial; t != nil && !t.incident {
		t.flips += flips
		t.online += online
	}
	return suspicious
}

// observed brings an observation to a person.
func (s *seer) observed(p *person, o presence.Observation, a presence.Answer, suspicious bool) {
	doubt := suspicious && o.Status == presence.Offline
	if w := p.wait; w != nil && w.to == o.Status {
		w.detail, w.asked = o.Detail, a.AskedAt
		if !w.gated && !a.AskedAt.Before(w.seenAt.Add(s.hold[w.to])) {
			s.confirm(p, a.At)
		}
		return
	} else if w != nil { // the answer says what is told, or, of who is known by nothing, the other
		why := diff.Unconfirmed
		if w.gated {
			why = diff.Implausible
			if s.reply[p.id] == "gated" {
				s.reply[p.id] = "seen"
			}
		}
		s.suppress(p, a.At, why)
	}
	switch {
	case p.status == o.Status:
		if p.detail != o.Detail {
			p.detail, p.dirty = o.Detail, a.At
		}
		p.said = a.AskedAt
	case doubt && p.status != presence.Offline:
		p.wait = &unsure{to: o.Status, detail: o.Detail, seenAt: a.At, asked: a.AskedAt, gated: true, flip: p.status == presence.Online || p.lately}
	case p.status == presence.Unknown:
		p.tell(presence.KindBaseline, o.Status, o.Detail, a.At, time.Time{})
		p.said = a.AskedAt
	case s.hold[o.Status] > 0:
		p.wait = &unsure{to: o.Status, detail: o.Detail, seenAt: a.At, asked: a.AskedAt, due: a.At.Add(s.hold[o.Status])}
		p.dirty = a.At
	default:
		p.tell(kindTo(o.Status), o.Status, o.Detail, a.At, time.Time{})
		p.said = a.AskedAt
	}
}

func kindTo(to presence.Status) presence.Kind {
	if to == presence.Online {
		return presence.KindOnline
	}
	return presence.KindOffline
}

// confirm tells what waits.
func (s *seer) confirm(p *person, at time.Time) {
	w := p.wait
	p.wait = nil
	kind := kindTo(w.to)
	if p.status == presence.Unknown {
		kind = presence.KindBaseline
	}
	p.tell(kind, w.to, w.detail, w.seenAt, at)
	p.said = w.asked
}

// until does what happens by itself up to now, and wants nothing to be late.
func (s *seer) until(now time.Time) {
	if s.trial != nil && !s.trial.incident && !now.Before(s.trial.ends) {
		s.windowOver()
	}
	if t := s.trial; t != nil && t.incident && !now.Before(t.patienceOver.Add(10*time.Second)) {
		s.decide(t.patienceOver.Add(10*time.Second), t.sample != nil && t.lastOne && mostGone(t.sample))
	}
	if t := s.trial; t != nil && t.incident && t.sample == nil && s.calling == nil && !t.due.After(now) && len(s.flipped()) == 0 {
		s.decide(last(t.due, s.laneFree), false)
	}
	s.onTime(now)
}

// windowOver decides whether what a window counted is an incident.
func (s *seer) windowOver() {
	t := s.trial
	if (t.flips < 50 || float64(t.flips)/float64(t.online) < s.maxShare) && !t.ends.Before(s.wary) {
		s.trial = nil
		s.letGo(t.ends)
		return
	}
	t.incident, t.patienceOver, t.due, t.pause = true, t.ends.Add(s.patience), t.ends, 2*time.Second
	s.incidents = append(s.incidents, Incident{Number: s.counted + 1, Began: t.began, Flips: t.flips, Share: float64(t.flips) / float64(t.online)})
	s.settle(t.ends)
}

func known(of map[string]presence.Status) int { return len(of) - tallyOf(of, presence.Unknown) }

func tallyOf(of map[string]presence.Status, status presence.Status) (n int) {
	for _, is := range of {
		if is == status {
			n++
		}
	}
	return n
}

// enough tells whether half are answered.
func enough(of map[string]presence.Status) bool { return known(of) > 0 && 2*known(of) >= len(of) }

// mostGone tells whether three quarters of those answered are offline.
func mostGone(of map[string]presence.Status) bool {
	return enough(of) && 4*tallyOf(of, presence.Offline) >= 3*known(of)
}

// gated returns who is.
func (s *seer) gated() (people []*person) {
	for _, p := range s.sorted() {
		if p.wait != nil && p.wait.gated {
			people = append(people, p)
		}
	}
	return people
}

// flipped returns who is gated and was told online then.
func (s *seer) flipped() []*person {
	return slices.DeleteFunc(s.gated(), func(p *person) bool { return !p.wait.flip })
}

// settle ends an incident that has nobody left.
func (s *seer) settle(now time.Time) {
	if s.trial != nil && s.trial.incident && len(s.gated()) == 0 {
		s.decide(now, false)
	}
}

// replied says what becomes of everybody of whom that was noted.
func (s *seer) replied(was, is string) {
	for id, reply := range s.reply {
		if reply == was {
			s.reply[id] = is
		}
	}
}

// letGo takes what is gated for true.
func (s *seer) letGo(at time.Time) {
	s.replied("doubted", "seen")
	s.replied("gated", "seen")
	for _, p := range s.gated() {
		if hold := s.hold[presence.Offline]; hold > 0 && p.status == presence.Online {
			p.wait.gated, p.wait.due, p.wait.letGo, p.dirty = false, p.wait.seenAt.Add(hold), at, at
		} else {
			s.confirm(p, at)
		}
	}
}

// decide ends an incident.
func (s *seer) decide(at time.Time, released bool) {
	t := s.trial
	s.trial = nil
	s.counted++
	i := Incident{Number: s.counted, Began: t.began, Ended: at, Released: released, Flips: t.flips, Decided: len(s.gated()), Rounds: t.rounds, Share: float64(t.flips) / float64(t.online)}
	sample, birds := t.heldSample, t.heldBirds
	if t.sample != nil {
		sample, birds = t.sample, t.birds
	}
	i.SampleAsked, i.SampleAnswered, i.SampleOffline = len(sample), known(sample), tallyOf(sample, presence.Offline)
	i.CanariesAsked, i.CanariesAnswered, i.CanariesOffline = len(birds), known(birds), tallyOf(birds, presence.Offline)
	s.incidents = append(s.incidents, i)
	s.touched = at
	if released {
		s.letGo(at)
		return
	}
	s.wary = at.Add(s.patience)
	s.replied("doubted", string(presence.MissImplausible))
	for _, p := range s.gated() {
		if s.reply[p.id] == "gated" {
			s.reply[p.id] = string(presence.MissImplausible)
		}
		s.suppress(p, at, diff.Implausible)
	}
	s.replied("gated", "seen") // who was, and went stale
}

// calls is told that users are about to be asked about again.
func (s *seer) calls(users []presence.User, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until(now)
	if s.calling != nil {
		s.fail("%d are asked again while others are", len(users))
	}
	s.calling = []string{}
	round := false
	for _, u := range users {
		p := s.people[u.ID]
		s.calling = append(s.calling, u.ID)
		round = round || p.wait == nil || p.wait.gated
	}
	if round {
		s.beginRound(users, now)
		return
	}
	if t := s.trial; t != nil && t.incident && !t.due.After(now) {
		s.fail("who is held back is asked ahead of an incident")
	}
	due := 0
	for _, p := range s.sorted() {
		if w := p.wait; w != nil && !w.gated && !w.due.IsZero() && !w.due.After(now) {
			due++
		}
	}
	for _, u := range users {
		w := s.people[u.ID].wait
		if w.due.IsZero() || w.due.After(now) {
			s.fail("%s is asked again before it is due", u.ID)
		}
		w.due = time.Time{}
	}
	if len(users) != min(100, due) {
		s.fail("%d of %d who are due are asked again", len(users), due)
	}
}

// beginRound is about an incident: it wants those asked whom the rules demand.
func (s *seer) beginRound(users []presence.User, now time.Time) {
	t := s.trial
	if t == nil || !t.incident || t.sample != nil || now.Before(t.due) {
		for _, u := range users {
			p := s.people[u.ID]
			if p.wait == nil || p.wait.gated {
				s.fail("%s is asked again, and no round of an incident is due; told %s, waits %+v", u.ID, p.status, p.wait)
			}
		}
		return
	}
	t.rounds++
	t.lastOne = !now.Before(t.patienceOver)
	t.sample, t.birds = map[string]presence.Status{}, map[string]presence.Status{}
	flips, online := len(s.flipped()), 0
	var oldest time.Time
	for _, u := range users {
		switch p := s.people[u.ID]; {
		case p.wait != nil && p.wait.gated && p.wait.flip:
			t.sample[u.ID] = presence.Unknown
		case p.wait == nil && p.watched && p.status == presence.Online:
			t.birds[u.ID] = presence.Unknown
			if oldest.IsZero() || p.said.Before(oldest) {
				oldest = p.said
			}
		default:
			s.fail("%s is asked about an incident, and is neither gated nor known to be online", u.ID)
		}
	}
	for _, p := range s.sorted() {
		if p.watched && p.wait == nil && p.status == presence.Online {
			online++
			if _, of := t.birds[p.id]; !of && p.said.After(oldest) {
				s.fail("%s would have been a fresher canary", p.id)
			}
		}
	}
	if len(t.sample) != min(50, flips) || len(t.birds) != min(50, online) {
		s.fail("%d of %d flips and %d of %d canaries are asked", len(t.sample), flips, len(t.birds), online)
	}
}

// called is told that a call is over.
func (s *seer) called(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until(now)
	for _, id := range s.calling {
		if w := s.people[id].wait; w != nil && !w.gated && w.due.IsZero() {
			w.pause = min(max(5*time.Second, 2*w.pause), time.Minute)
			w.due = now.Add(w.pause)
		}
	}
	s.calling, s.laneFree = nil, now
	t := s.trial
	if t == nil || t.sample == nil {
		return
	}
	t.heldSample, t.heldBirds, t.sample, t.birds = t.sample, t.birds, nil, nil
	t.due, t.pause = first(now.Add(t.pause), t.patienceOver), min(2*t.pause, 8*time.Second)
	answered, offline := known(t.heldSample), tallyOf(t.heldSample, presence.Offline)
	switch {
	case len(t.heldSample) == 0:
		s.decide(now, false)
	case enough(t.heldSample) && 2*offline < answered:
		s.decide(now, false)
	case mostGone(t.heldSample) && (t.lastOne || enough(t.heldBirds) && float64(tallyOf(t.heldBirds, presence.Offline))/float64(known(t.heldBirds)) < s.maxShare):
		s.decide(now, true)
	case t.lastOne:
		s.decide(now, false)
	}
}

// onTime wants that nothing that is due was put off.
func (s *seer) onTime(now time.Time) {
	for _, p := range s.sorted() {
		if len(p.coming) > 0 && s.late(now, p.coming[0]) {
			s.fail("%s is not told: %+v", p.id, p.coming[0])
		}
		if w := p.wait; w != nil && !w.gated && !w.due.IsZero() && s.calling == nil && last(last(w.due.Add(250*time.Millisecond), w.letGo), s.laneFree).Before(now) {
			s.fail("%s was due to be asked again at %s", p.id, w.due)
		}
		if !p.dirty.IsZero() && p.dirty.Before(now) {
			s.fail("%s is not written", p.id)
		}
		if deadline := s.staleBy(p); !deadline.IsZero() && deadline.Before(now) {
			s.fail("%s had to be stale by %s", p.id, deadline)
		}
	}
	for id, what := range s.suppressed {
		if what.At.Before(now) {
			s.fail("%s is not said to be suppressed: %+v", id, what)
		}
	}
	if t := s.trial; t != nil && t.incident && t.sample == nil && s.calling == nil && last(t.due, s.laneFree).Before(now) {
		s.fail("a round was due at %s", t.due)
	}
	for _, i := range s.incidents {
		if !i.Ended.IsZero() && i.Ended.Before(now) || i.Ended.IsZero() && i.Began.Add(2*time.Second).Before(now) {
			s.fail("no incident was reported: %+v", i)
		}
	}
}

// late tells whether an event that is to come should be there by now.
func (s *seer) late(now time.Time, f foretold) bool { return last(f.observed, f.confirmed).Before(now) }

// staleBy is when a person has to be stale; zero for never.
func (s *seer) staleBy(p *person) time.Time {
	if s.staleAfter == 0 || !p.watched || p.status == presence.Unknown {
		return time.Time{}
	}
	often := max(time.Second, min(s.staleAfter/10, time.Minute))
	return last(last(p.age().Add(s.staleAfter), s.agesMust), s.touched).Add(often + time.Microsecond)
}

// listed is told that a sweep has read the watchlist to its end, and taken in who
// is new.
func (s *seer) listed(ids []string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until(now)
	s.reply = map[string]string{}
	for _, p := range s.sorted() {
		if !p.watched || slices.Contains(ids, p.id) {
			continue
		}
		s.suppress(p, now, diff.Removed)
		if p.status != presence.Unknown || p.stale {
			p.tell(presence.KindRemoved, presence.Unknown, presence.NoDetail, now, time.Time{})
		}
		p.watched, p.dirty = false, now
	}
	s.settle(now)
}

// enrolled is told who is new.
func (s *seer) enrolled(states []presence.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, state := range states {
		p := s.people[state.User.ID]
		if p == nil {
			p = &person{id: state.User.ID, no: state.User.No}
			s.people[p.id] = p
		}
		*p = person{id: p.id, no: p.no, watched: true, stored: &person{watched: true}}
	}
}

// sampled tells whether a user is asked about an incident at the moment, as one who
// flipped; sampleSize how many are.
func (s *seer) sampled(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trial == nil {
		return false
	}
	_, of := s.trial.sample[id]
	return of
}

func (s *seer) sampleSize() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trial == nil {
		return 0
	}
	return len(s.trial.sample)
}

// knows tells whether all of them are watched already.
func (s *seer) knows(ids []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(ids, func(id string) bool { return s.people[id] == nil || !s.people[id].watched })
}

// suppresses holds what is suppressed to what was foretold.
func (s *seer) suppresses(got diff.Suppressed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := got.Held.User.ID
	if got.Why == diff.Stale {
		s.aged[id] = got
		return
	}
	if want, coming := s.suppressed[id]; !coming || got != want {
		s.fail("suppressed is %+v, want %t %+v", got, coming, want)
	}
	delete(s.suppressed, id)
}

// reports holds an incident to what was foretold.
func (s *seer) reports(got Incident) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.incidents) == 0 || s.incidents[0] != got {
		s.fail("incident %+v, want the first of %+v", got, s.incidents)
		return
	}
	s.incidents = s.incidents[1:]
}

// now is told of a moment at which something is about to be reported.
func (s *seer) moment(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until(now)
}

// commits holds what was written to what was foretold.
func (s *seer) commits(c presence.Changes, b *heldBook, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until(now)
	for _, t := range c.Transitions {
		p := s.people[t.User.ID]
		if t.Kind == presence.KindStale {
			s.stale(p, now)
		}
		got := foretold{t.Kind, t.From, t.To, t.Detail, t.After, t.ObservedAt, t.ConfirmedAt}
		if len(p.coming) == 0 || p.coming[0] != got {
			s.fail("%s: %+v is told, want the first of %+v", p.id, got, p.coming)
			return
		}
		p.coming = p.coming[1:]
	}
	for _, p := range s.sorted() {
		if !p.dirty.IsZero() {
			s.written(p, b)
		}
	}
	s.settle(now)
	if len(s.aged) > 0 {
		s.fail("suppressed, and not stale: %+v", s.aged)
	}
}

// written holds what is stored of a person to what was foretold.
func (s *seer) written(p *person, b *heldBook) {
	if len(p.coming) > 0 {
		s.fail("%s: a commit comes without %+v", p.id, p.coming[0])
	}
	row := b.users[p.id]
	if row.Status != p.status || row.Detail != p.detail || row.Watched != p.watched || row.Stale != p.stale {
		s.fail("%s is stored as %+v, want %+v", p.id, row, *p)
	}
	held, is := b.held[p.no]
	if waits := p.wait != nil && !p.wait.gated; is != waits {
		s.fail("%s has a change held back stored: %t, want %t", p.id, is, waits)
	} else if is && (held.To != p.wait.to || !held.After.Equal(first(p.said, p.wait.seenAt)) || !held.SeenAt.Equal(p.wait.seenAt)) {
		s.fail("held back is %+v, want %+v", held, p.wait)
	}
	p.dirty = time.Time{}
	stored := *p
	stored.stored = nil
	if p.wait != nil {
		wait := *p.wait
		stored.wait = &wait
	}
	p.stored = &stored
}

// stale is told that somebody went stale, which is foretold to some extent only.
func (s *seer) stale(p *person, now time.Time) {
	if s.staleAfter == 0 || !p.watched || p.status == presence.Unknown || now.Before(s.agesMay) || !p.age().Add(s.staleAfter).Before(now) {
		s.fail("%s goes stale, and was answered at %s", p.id, p.age())
		return
	}
	s.suppress(p, now, diff.Stale)
	if got, want := s.aged[p.id], s.suppressed[p.id]; got != want {
		s.fail("suppressed by age is %+v, want %+v", got, want)
	}
	delete(s.aged, p.id)
	delete(s.suppressed, p.id)
	p.tell(presence.KindStale, presence.Unknown, presence.NoDetail, now, time.Time{})
	p.staleAt = now
}

// asksNoMore is told that a sweep has asked to its end.
func (s *seer) asksNoMore(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agesMay = first(s.agesMay, now)
}

// snapshot holds a snapshot to what is known.
func (s *seer) snapshot(got presence.Snapshot, online, known []uint32, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until(now)
	var wantOnline, wantKnown, missed []uint32
	watched := 0
	for _, p := range s.sorted() {
		if !p.watched {
			continue
		}
		watched++
		if p.status == presence.Online {
			wantOnline = append(wantOnline, p.no)
		}
		if p.status != presence.Unknown {
			wantKnown = append(wantKnown, p.no)
			if s.staleAfter > 0 && p.age().Add(s.staleAfter).Before(now) {
				s.fail("%s is told in a snapshot, and was answered at %s", p.id, p.age())
			}
		}
		if s.reply[p.id] != "seen" {
			missed = append(missed, p.no)
		}
	}
	if s.trial != nil || len(s.gated()) > 0 {
		s.fail("a snapshot while %d are gated", len(s.gated()))
	}
	for what, sets := range map[string][2][]uint32{"online": {online, wantOnline}, "known": {known, wantKnown}, "missed": {got.Missed, missed}} {
		if more, less := without(sets[0], sets[1]), without(sets[1], sets[0]); len(more)+len(less) > 0 {
			s.fail("a snapshot has %s %v, and lacks %v", what, more, less)
		}
	}
	if got.Watched != watched || got.Seen != watched-len(missed) {
		s.fail("a snapshot of %d watched, %d seen; want %d, %d", got.Watched, got.Seen, watched, watched-len(missed))
	}
}

// without returns what is in one and not in the other.
func without(one, other []uint32) []uint32 {
	return slices.DeleteFunc(slices.Clone(one), func(no uint32) bool { return slices.Contains(other, no) })
}

// swept holds the report of a sweep to what was answered.
func (s *seer) swept(got Report, err error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until(now)
	if !s.agesMay.After(now) { // it has asked; one that found no watchlist has not
		s.agesMust = first(s.agesMust, now)
	}
	if err != nil {
		return
	}
	missed := map[presence.MissReason]int{}
	for _, p := range s.people {
		if what := s.reply[p.id]; p.watched && what != "seen" {
			missed[presence.MissReason(what)]++
		}
	}
	held := 0
	for _, p := range s.people {
		if p.wait != nil && !p.wait.gated {
			held++
		}
	}
	if !maps.Equal(missed, got.Missed) || got.Held != held {
		s.fail("missed %v, held %d; want %v, %d", got.Missed, got.Held, missed, held)
	}
}

// begins is told that a term begins with what is stored.
func (s *seer) begins(b *heldBook, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, row := range b.users {
		p := s.people[id]
		if p == nil || p.stored == nil || row.Watched != p.stored.watched { // taken in, though the statement failed
			p = &person{id: id, no: row.User.No, stored: &person{watched: row.Watched}}
			s.people[id] = p
		}
		was := p.stored
		if row.Status != was.status || row.Detail != was.detail || row.Stale != was.stale {
			s.fail("%s is stored as %+v, want %+v", id, row, *was)
		}
		if was.status != presence.Unknown && row.AskedAt.After(was.said) {
			s.fail("%s is stored as asked about at %s, want %s at the latest", id, row.AskedAt, was.said)
		}
		*p = person{id: id, no: row.User.No, watched: row.Watched, status: was.status, detail: was.detail, stale: was.stale, staleAt: was.staleAt, said: row.AskedAt, stored: was}
		held, is := b.held[p.no]
		if is != (was.wait != nil && !was.wait.gated) {
			s.fail("%s has a change held back stored: %t", id, is)
		} else if is {
			asked := last(row.AskedAt, held.After)
			p.said = held.After
			p.wait = &unsure{to: held.To, detail: held.Detail, seenAt: held.SeenAt, asked: asked, due: held.SeenAt.Add(s.hold[held.To])}
		}
	}
	s.suppressed, s.aged, s.reply = map[string]diff.Suppressed{}, map[string]diff.Suppressed{}, map[string]string{}
	s.trial, s.incidents, s.counted, s.calling, s.laneFree = nil, nil, 0, nil, now
	s.agesMay, s.agesMust, s.wary = now.Add(s.staleAfter), now.Add(s.staleAfter), time.Time{}
}
