package diff

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/zim-presence/poller/presence"
)

// person is what an oracle makes of the raw answers about one user: it knows the
// rules, and nothing of how the memory keeps them.
type person struct {
	user           presence.User
	watched, stale bool
	again          bool
	told           presence.Status
	detail         presence.Detail
	said, newest   time.Time // when was asked what said what is told, and what said anything
	floor          time.Time // nothing is told as before
	read           time.Time // as of when the status is known to be so
	seq            int64
	wait           *unsaid
}

// unsaid is a change that is not told.
type unsaid struct {
	presence.Held
	gated bool
}

// world is a memory, the ledger that it writes, and the oracle.
type world struct {
	*rapid.T
	memory  *Memory
	hold    Hold
	most    time.Duration
	now     time.Time
	sweep   int64
	people  map[string]*person
	want    map[string][]presence.Transition // not yet written
	sups    []Suppressed
	wanted  []Suppressed
	doubted []uint32

	seq    int64
	states map[string]presence.State
	held   map[uint32]presence.Held
}

const people = 6

func newWorld(t *rapid.T) *world {
	w := &world{
		T: t, now: start, people: map[string]*person{}, want: map[string][]presence.Transition{},
		states: map[string]presence.State{}, held: map[uint32]presence.Held{},
	}
	for no := uint32(1); no <= people; no++ {
		w.people[user(no).ID] = &person{user: user(no)}
	}
	w.restart()
	return w
}

func (w *world) duration(most int, name string) time.Duration {
	return time.Duration(rapid.IntRange(0, most).Draw(w.T, name)) * time.Second
}

// event is what the oracle wants told.
func (w *world) event(p *person, kind presence.Kind, to presence.Status, detail presence.Detail, after, at, confirmed time.Time) {
	at = later(at, p.floor)
	t := presence.Transition{User: p.user, Kind: kind, From: p.told, To: to, Detail: detail, ObservedAt: at, Sweep: w.sweep}
	if kind != presence.KindBaseline {
		t.After = earlier(after, at)
	}
	p.floor, p.read = at, at
	if !confirmed.IsZero() {
		t.ConfirmedAt = later(confirmed, at)
		p.floor = t.ConfirmedAt
	}
	w.want[p.user.ID] = append(w.want[p.user.ID], t)
	p.told, p.detail, p.stale, p.again = to, detail, kind == presence.KindStale, false
}

func (w *world) drop(p *person, at time.Time, why Why) {
	if p.wait == nil {
		return
	}
	if p.wait.gated && why == Unconfirmed {
		why = Implausible
	}
	w.wanted = append(w.wanted, Suppressed{p.wait.Held, at, why})
	p.wait = nil
}

func (w *world) holdOf(s presence.Status) time.Duration {
	return map[presence.Status]time.Duration{presence.Offline: w.hold.Offline, presence.Online: w.hold.Online}[s]
}

// observe is the oracle's reading of an answer.
func (w *world) observe(p *person, o presence.Observation, a presence.Answer, gate bool) {
	if !p.watched {
		return
	}
	if gate && o.Status == presence.Offline && (p.wait == nil && p.told == presence.Offline || p.wait != nil && !p.wait.gated) {
		w.doubted = append(w.doubted, p.user.No)
		return
	}
	p.newest = a.AskedAt
	if h := p.wait; h != nil && o.Status == h.To {
		h.Detail = o.Detail
		if !h.gated && !a.AskedAt.Before(h.SeenAt.Add(w.holdOf(h.To))) {
			w.tell(p, a.At, a.At)
		}
		return
	}
	w.drop(p, a.At, Unconfirmed)
	suspicious := gate && o.Status == presence.Offline
	held := presence.Held{User: p.user, To: o.Status, Detail: o.Detail, After: earlier(p.said, a.At), SeenAt: later(a.At, p.floor)}
	switch {
	case o.Status == p.told && p.again:
		p.told = presence.Unknown
		w.event(p, presence.KindBaseline, o.Status, o.Detail, time.Time{}, a.At, time.Time{})
	case o.Status == p.told:
		if p.detail != o.Detail {
			p.detail, p.floor = o.Detail, later(a.At, p.floor)
			p.read = p.floor
		}
	case suspicious:
		p.wait = &unsaid{held, true}
		return
	case p.told == presence.Unknown:
		w.event(p, presence.KindBaseline, o.Status, o.Detail, time.Time{}, a.At, time.Time{})
	case w.holdOf(o.Status) > 0:
		p.wait = &unsaid{held, false}
		return
	default:
		kind, _ := presence.KindOf(p.told, o.Status)
		w.event(p, kind, o.Status, o.Detail, p.said, a.At, time.Time{})
	}
	p.said = a.AskedAt
}

// tell tells what waits.
func (w *world) tell(p *person, read, confirmed time.Time) {
	kind, h := presence.KindBaseline, p.wait
	if p.told != presence.Unknown {
		kind, _ = presence.KindOf(p.told, h.To)
	}
	p.wait = nil
	w.event(p, kind, h.To, h.Detail, h.After, h.SeenAt, confirmed)
	p.said, p.read = p.newest, later(read, p.read)
}

var sayings = []presence.Observation{
	{}, {Status: presence.Online}, {Status: presence.Online}, {Status: presence.Offline, Detail: presence.Timeout},
	{Status: presence.Offline, Detail: presence.Timeout}, {Status: presence.Offline, Detail: presence.NoSession},
}

// answer brings an answer to both.
func (w *world) answer() {
	gate := rapid.IntRange(0, 3).Draw(w.T, "gate") == 0
	a := presence.Answer{AskedAt: w.now, At: w.now.Add(w.duration(2, "takes"))}
	w.now = a.At
	for no := uint32(1); no <= people; no++ {
		o := rapid.SampledFrom(sayings).Draw(w.T, "says")
		o.User = user(no)
		if o.Status != presence.Unknown {
			a.Observations = append(a.Observations, o)
		}
	}
	for _, o := range a.Observations {
		w.observe(w.people[o.User.ID], o, a, gate)
	}
	if gate {
		if got := w.memory.ObserveGated(a, w.sweep); !slices.Equal(got, w.doubted) {
			w.Fatalf("doubted %v, want %v", got, w.doubted)
		}
		w.doubted = nil
	} else {
		w.memory.Observe(a, w.sweep)
	}
}

// watch reads a watchlist.
func (w *world) watch() {
	w.commit() // the ledger enrolls who comes back behind what was told
	w.memory.BeginWatchlist()
	for _, id := range slices.Sorted(maps.Keys(w.people)) {
		p := w.people[id]
		switch listed := rapid.IntRange(0, 4).Draw(w.T, "listed") > 0; {
		case listed && !p.watched:
			*p = person{user: p.user, watched: true, seq: p.seq, floor: p.floor, read: p.floor}
			w.states[id] = presence.State{User: p.user, Watched: true, LastSeq: p.seq, ObservedAt: p.floor}
			w.memory.Add(w.states[id], time.Time{})
		case listed:
			w.memory.Mark([]byte(id))
		case p.watched:
			w.drop(p, w.now, Removed)
			if p.stale {
				p.said = p.floor
			}
			if p.told != presence.Unknown || p.stale {
				w.event(p, presence.KindRemoved, presence.Unknown, presence.NoDetail, p.said, w.now, time.Time{})
			}
			p.watched = false
		}
	}
	w.memory.EndWatchlist(w.now, w.sweep)
}

func (w *world) age() {
	w.commit()
	n := 0
	for _, p := range w.people {
		if p.watched && p.told != presence.Unknown && p.newest.Before(w.now.Add(-w.most)) {
			w.drop(p, w.now, Stale)
			w.event(p, presence.KindStale, presence.Unknown, presence.NoDetail, p.said, w.now, time.Time{})
			p.newest = p.said // what said otherwise is dropped
			n++
		}
	}
	if got, _ := w.memory.JudgeAge(w.most, w.now, w.sweep); got != n {
		w.Fatalf("%d users are stale, want %d", got, n)
	}
}

// decide ends the gating of everybody.
func (w *world) decide() {
	w.commit()
	release := rapid.Bool().Draw(w.T, "release")
	var gated []uint32
	for _, p := range w.people {
		if p.wait == nil || !p.wait.gated {
			continue
		}
		gated = append(gated, p.user.No)
		switch {
		case !release:
			w.drop(p, w.now, Implausible)
			p.newest = p.said // as if there had been no answer
		case p.told != presence.Unknown && w.hold.Offline > 0:
			p.wait.gated = false
		default:
			w.tell(p, later(p.wait.SeenAt, p.newest), w.now)
		}
	}
	slices.Sort(gated)
	if release {
		if got := w.memory.LetGo(w.now, w.sweep); got != len(gated) {
			w.Fatalf("%d let go, want %d", got, len(gated))
		}
		return
	}
	var got []uint32
	for _, h := range w.memory.Discard(w.now) {
		got = append(got, h.User.No)
	}
	slices.Sort(got)
	if !slices.Equal(got, gated) {
		w.Fatalf("discarded %v, want %v", got, gated)
	}
}

// commit writes what the memory hands out, and compares it with what the oracle
// wants.
func (w *world) commit() {
	c := w.memory.Take()
	got := map[string][]presence.Transition{}
	for _, t := range c.Transitions {
		p := w.people[t.User.ID]
		if w.seq++; t.Seq != w.seq || t.PrevSeq != p.seq {
			w.Fatalf("event %d behind %d of %s, want %d behind %d", t.Seq, t.PrevSeq, t.User.ID, w.seq, p.seq)
		}
		p.seq, t.Seq, t.PrevSeq = t.Seq, 0, 0
		got[t.User.ID] = append(got[t.User.ID], t)
	}
	if diff := cmp.Diff(w.want, got); diff != "" {
		w.Fatalf("told (-want +got):\n%s", diff)
	}
	clear(w.want)
	for _, s := range c.States {
		if s.Since.IsZero() {
			s.Since = w.states[s.User.ID].Since
		}
		w.states[s.User.ID] = s
	}
	for _, no := range c.Settled {
		if _, ok := w.held[no]; !ok {
			w.Fatalf("settled %d, of whom nothing waits", no)
		}
		delete(w.held, no)
	}
	for _, h := range c.Held {
		if slices.Contains(c.Settled, h.User.No) {
			w.Fatalf("user %d both waits and is settled", h.User.No)
		}
		w.held[h.User.No] = h
	}
	w.compare()
}

// compare holds what is stored to the oracle.
func (w *world) compare() {
	want := map[uint32]presence.Held{}
	for _, p := range w.people {
		s := w.states[p.user.ID]
		if s.Status != p.told || s.Detail != p.detail || s.Stale != p.stale || s.LastSeq != p.seq || p.told != presence.Unknown && !s.ObservedAt.Equal(p.read) {
			w.Fatalf("state %+v, want %+v", s, *p)
		}
		if p.wait != nil && !p.wait.gated {
			want[p.user.No] = p.wait.Held
		}
	}
	have := maps.Clone(w.held)
	for no, h := range have { // a detail that changes while it waits is not stored
		h.Detail = want[no].Detail
		have[no] = h
	}
	if diff := cmp.Diff(want, have); diff != "" || w.memory.Held() != len(want) {
		w.Fatalf("%d held (-want +got):\n%s", w.memory.Held(), diff)
	}
	byUser := func(a, b Suppressed) int { return int(a.Held.User.No) - int(b.Held.User.No) }
	slices.SortStableFunc(w.wanted, byUser)
	slices.SortStableFunc(w.sups, byUser)
	if diff := cmp.Diff(w.wanted, w.sups); diff != "" {
		w.Fatalf("suppressed (-want +got):\n%s", diff)
	}
	w.wanted, w.sups = nil, nil
	w.count()
}

// restart loads another memory from what was written. What was not is lost, and
// with it what was gated; what was seen of a user is known as a bound.
func (w *world) restart() {
	if w.memory != nil {
		w.commit()
	}
	w.hold = Hold{w.duration(8, "hold offline"), w.duration(8, "hold online")}
	w.most = 10*time.Second + w.duration(10, "stale after")
	w.memory = New(w.seq)
	for _, p := range w.people {
		if p.wait != nil && p.wait.gated {
			p.wait = nil
		}
		p.again = false
		if !p.watched {
			continue
		}
		p.floor = p.read
		if p.told != presence.Unknown && p.wait == nil {
			p.said = p.said.Add(-w.duration(3, "bound"))
		}
		p.newest = p.said
		h, waits := w.held[p.user.No]
		if waits { // the sweeps since may have seen the user otherwise
			p.said, p.newest, p.wait.Detail = h.After, h.After.Add(w.duration(3, "seen since")), h.Detail
			w.memory.Add(w.states[p.user.ID], p.newest)
			w.memory.AddHeld(h)
			continue
		}
		w.memory.Add(w.states[p.user.ID], p.said)
	}
	w.memory.SetHold(w.hold, func(s Suppressed) { w.sups = append(w.sups, s) })
}

// everybodyWaits holds that whoever waits is asked again when the time has come.
func (w *world) everybodyWaits() {
	want := map[string]bool{}
	for id, p := range w.people {
		if h := p.wait; h != nil && !h.gated && !w.now.Before(h.SeenAt.Add(w.holdOf(h.To))) {
			want[id] = true
		}
	}
	users := w.memory.Due(w.now, people)
	for _, u := range users {
		if !want[u.ID] {
			w.Fatalf("%s is to be asked again", u.ID)
		}
		delete(want, u.ID)
	}
	if len(want) > 0 {
		w.Fatalf("%v are not asked again", want)
	}
	w.memory.AskedAgain(users, w.now.Add(-firstPause)) // and at once, if need be
	for _, u := range users {
		w.memory.held[u.No].pause = 0
	}
}

// What is told, held back, stored and dropped, whatever is answered, goes by the
// rules: told as an oracle tells it that sees each user's answers alone.
func TestHeldBackAgainstAnOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.watch()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w.sweep++
			w.now = w.now.Add(w.duration(6, "passes"))
			switch rapid.SampledFrom([]string{"answer", "answer", "answer", "answer", "watch", "age", "decide", "commit", "again", "restart", "due"}).Draw(t, "step") {
			case "answer":
				w.answer()
			case "watch":
				w.watch()
			case "age":
				w.age()
			case "decide":
				w.decide()
			case "commit":
				w.commit()
			case "again":
				p := w.people[user(uint32(rapid.IntRange(1, people).Draw(t, "who"))).ID]
				if w.memory.TellAgain(p.user.ID, w.seq+100) {
					p.again = true
				}
			case "restart":
				w.restart()
			case "due":
				w.everybodyWaits()
			}
		}
		w.commit()
	})
}
