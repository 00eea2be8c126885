package poll

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/presence"
)

// gateTrial is a gate before a memory, and a clock that is moved by hand. The
// users from 901 on are those who answered last.
type gateTrial struct {
	*testing.T
	gate   *gate
	memory *diff.Memory
	now    time.Time
}

// newGateTrial has so many users who are told online, and so many of the freshest.
func newGateTrial(t *testing.T, online, fresh uint32) *gateTrial {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	g := &gateTrial{T: t, now: now, memory: diff.New(0)}
	g.gate = &gate{share: .3, patience: 30 * time.Second, memory: g.memory, dice: rand.New(rand.NewPCG(1, 2))}
	for no := range online {
		g.add(no+1, presence.Online, time.Minute)
	}
	for no := range fresh {
		g.add(no+901, presence.Online, time.Second)
	}
	return g
}

func (g *gateTrial) add(no uint32, told presence.Status, ago time.Duration) {
	g.memory.Add(presence.State{User: user(no), Watched: true, Status: told}, g.now.Add(-ago))
}

// user returns the user of a number.
func user(no uint32) presence.User { return presence.User{No: no, ID: fmt.Sprint("u", no)} }

// says is an answer about the users from one to another, of whom the first are offline.
func (g *gateTrial) says(from, to, offline uint32) presence.Answer {
	a := presence.Answer{AskedAt: g.now, At: g.now}
	for no := from; no <= to; no++ {
		status := presence.Online
		if no < from+offline {
			status = presence.Offline
		}
		a.Observations = append(a.Observations, observation(user(no), status))
	}
	return a
}

// hears has an answer judged and observed, as the recorder does.
func (g *gateTrial) hears(a presence.Answer, confirm bool) (suspicious bool) {
	g.Helper()
	g.still()
	if confirm {
		g.gate.hear(a)
	}
	if suspicious = g.gate.suspects(a, g.now); suspicious {
		g.memory.ObserveGated(a, 1)
	} else {
		g.memory.Observe(a, 1)
	}
	return suspicious
}

// still wants nothing to be due.
func (g *gateTrial) still() {
	g.Helper()
	if how, _ := g.gate.turn(g.now); how != nothing {
		g.Fatalf("outcome %d of %d users, want none", how, g.memory.Gated())
	}
}

// turns wants an outcome, and what it is about to be so many, and the machine to
// rest behind it.
func (g *gateTrial) turns(want outcome, gated int) Incident {
	g.Helper()
	how, incident := g.gate.turn(g.now)
	if how != want || g.memory.Gated() != gated {
		g.Fatalf("outcome %d of %d users, want %d of %d", how, g.memory.Gated(), want, gated)
	}
	switch how {
	case letGo, released:
		g.memory.LetGo(g.now, 1)
	case discarded:
		g.memory.Discard(g.now)
	default:
		return incident
	}
	g.still()
	if g.gate.shut() || !g.gate.next(true).IsZero() {
		g.Fatalf("it is not at rest after outcome %d", how)
	}
	return incident
}

// waits goes to when something is to be done, and wants it to be so long from now.
func (g *gateTrial) waits(want time.Duration) {
	g.Helper()
	if got := g.gate.next(true).Sub(g.now); got != want {
		g.Fatalf("something is to be done in %s, want %s", got, want)
	}
	g.now = g.now.Add(want)
}

// asks begins a round and returns whom it asks about.
func (g *gateTrial) asks() (sample, canaries []presence.User) {
	g.Helper()
	for _, u := range g.gate.ask(g.now) {
		if _, gone := g.gate.incident.asking.sample[u.No]; gone {
			sample = append(sample, u)
		} else {
			canaries = append(canaries, u)
		}
	}
	return sample, canaries
}

// replies answers a round and ends it: so many are offline, so many are missed.
func (g *gateTrial) replies(sample []presence.User, offline, missed int, canaries []presence.User, canariesOffline, canariesMissed int) {
	g.Helper()
	g.now = g.now.Add(100 * time.Millisecond)
	a := presence.Answer{AskedAt: g.now, At: g.now}
	for n, u := range sample[:len(sample)-missed] {
		a.Observations = append(a.Observations, observation(u, offlineBelow(n, offline)))
	}
	for n, u := range canaries[:len(canaries)-canariesMissed] {
		a.Observations = append(a.Observations, observation(u, offlineBelow(n, canariesOffline)))
	}
	g.hears(a, true)
	g.gate.asked(g.now)
}

// gives answers a round under way: all of them are offline.
func (g *gateTrial) gives(users []presence.User) {
	g.Helper()
	a := presence.Answer{AskedAt: g.now, At: g.now}
	for _, u := range users {
		a.Observations = append(a.Observations, observation(u, presence.Offline))
	}
	g.hears(a, true)
}

func offlineBelow(n, most int) presence.Status {
	if n < most {
		return presence.Offline
	}
	return presence.Online
}

func TestSuspicious(t *testing.T) {
	for name, c := range map[string]struct {
		online, offline uint32 // of whom the answer says so, all told online
		want            bool
	}{
		"exactly the share":   {100, 30, true},
		"just below":          {101, 30, false},
		"nobody":              {100, 0, false},
		"everybody":           {100, 100, true},
		"nine of nine":        {9, 9, false},
		"ten of ten":          {10, 10, true},
		"nine of more":        {20, 9, false},
		"ten of more":         {20, 10, true},
		"nobody is answered":  {0, 0, false},
		"ten, just the share": {33, 10, true},
		"ten, just below":     {34, 10, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateTrial(t, 200, 0)
			got := g.hears(g.says(1, c.online, c.offline), false)
			gated := 0
			if c.want {
				gated = int(c.offline)
			}
			if got != c.want || g.gate.shut() != c.want || g.memory.Gated() != gated {
				t.Errorf("%d of %d offline: suspicious %t, shut %t, %d gated; want %t", c.offline, c.online, got, g.gate.shut(), g.memory.Gated(), c.want)
			}
		})
	}
}

// Only users who are told online count, and of whom no change waits.
func TestWhoCounts(t *testing.T) {
	g := newGateTrial(t, 20, 0)
	for no := uint32(21); no <= 30; no++ {
		g.add(no, presence.Offline, time.Minute)
		g.add(no+10, presence.Unknown, time.Minute)
	}
	g.memory.SetHold(diff.Hold{Offline: time.Hour}, nil)
	g.hears(g.says(1, 9, 9), false) // of them it waits to be confirmed
	g.memory.SetHold(diff.Hold{}, nil)
	if g.hears(g.says(2, 18, 17), false) || g.hears(g.says(10, 60, 9), false) {
		t.Error("nine flips are suspicious")
	}
	g = newGateTrial(t, 10, 0)
	for no := uint32(21); no <= 30; no++ {
		g.add(no, presence.Offline, time.Minute)
		g.add(no+10, presence.Unknown, time.Minute)
	}
	// Ten flips are gated, and with them who is offline by a first answer.
	if !g.hears(g.says(1, 60, 60), false) || g.memory.Gated() != 20 || g.gate.window != (tally{10, 10}) {
		t.Errorf("%d gated, window %v; want 20, and 10 of 10", g.memory.Gated(), g.gate.window)
	}
}

// A miss is no observation: it counts neither way.
func TestMissesDoNotCount(t *testing.T) {
	g := newGateTrial(t, 100, 0)
	a := g.says(1, 30, 10)
	for no := uint32(31); no <= 100; no++ {
		a.Missed = append(a.Missed, presence.Miss{User: user(no), Reason: presence.MissFailed})
	}
	a.Observations[20].Status = presence.Unknown
	if g.hears(a, false); g.memory.Gated() != 10 || g.gate.window != (tally{10, 29}) {
		t.Errorf("%d gated, window %v; want 10, and 10 of 29", g.memory.Gated(), g.gate.window)
	}
}

func TestWindow(t *testing.T) {
	for name, c := range map[string]struct {
		more, offline uint32 // in a second answer, behind 40 of 40
		after         time.Duration
		want          outcome
	}{
		"49 flips":                {100, 9, time.Second, letGo},
		"50 flips":                {100, 10, time.Second, suspected},
		"just below the share":    {128, 10, time.Second, letGo},     // 50 of 168
		"just the share":          {160, 20, time.Second, suspected}, // 60 of 200
		"both suspicious at once": {40, 40, 0, suspected},
		"the share does not last": {800, 20, time.Second, letGo},
		"just before the end":     {40, 40, 2*time.Second - 1, suspected},
		"nobody else":             {0, 0, time.Second, letGo},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateTrial(t, 890, 0)
			g.hears(g.says(1, 40, 40), false)
			g.now = g.now.Add(c.after)
			gated := 40
			if g.hears(g.says(41, 40+c.more, c.offline), false) {
				gated += int(c.offline)
			}
			g.waits(windowLength - c.after)
			i := g.turns(c.want, gated)
			if want := float64(40+c.offline) / float64(40+c.more); c.want == suspected &&
				(i.Share != want || i.Flips != 40+int(c.offline) || !i.Began.Equal(g.now.Add(-windowLength)) || !i.Ended.IsZero()) {
				t.Errorf("incident %+v, want a share of %f", i, want)
			}
		})
	}
}

// An answer behind the end of a window opens one of its own.
func TestWindowAfterWindow(t *testing.T) {
	g := newGateTrial(t, 200, 0)
	g.hears(g.says(1, 40, 40), false)
	g.waits(windowLength)
	g.turns(letGo, 40)
	g.hears(g.says(101, 140, 40), false)
	g.waits(windowLength)
	g.turns(letGo, 40)
}

// Behind an incident that was discarded no window is too small to ask again, until
// patience is over; behind one that was released it is.
func TestSmallWindowBehindAnIncident(t *testing.T) {
	for name, c := range map[string]struct {
		offline int // of the sample
		first   outcome
		after   time.Duration
		want    outcome
	}{
		"discarded":        {0, discarded, 0, suspected},
		"to the last":      {0, discarded, 28*time.Second - 1, suspected},
		"patience is over": {0, discarded, 28 * time.Second, letGo},
		"released":         {50, released, 0, letGo},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateTrial(t, 300, 0)
			g.hears(g.says(1, 60, 60), false)
			g.waits(windowLength)
			g.turns(suspected, 60)
			sample, canaries := g.asks()
			g.replies(sample, c.offline, 0, canaries, 0, 0)
			g.turns(c.first, 60-len(sample)+c.offline)
			g.now = g.now.Add(c.after)
			g.hears(g.says(101, 110, 10), false)
			g.waits(windowLength)
			g.turns(c.want, 10)
		})
	}
}

// What is let go keeps when it was seen, and says when that was decided.
func TestWhatIsLetGo(t *testing.T) {
	g := newGateTrial(t, 20, 0)
	first := g.now
	g.hears(g.says(1, 20, 20), false)
	g.now = g.now.Add(time.Second)
	again := g.says(3, 3, 1)
	again.Observations[0].Detail = presence.NoSession
	g.hears(again, false)
	g.now = g.now.Add(time.Second)
	g.turns(letGo, 20)
	events := g.memory.Take().Transitions
	if len(events) != 20 {
		t.Fatalf("%d events, want 20", len(events))
	}
	for _, e := range events {
		if e.Kind != presence.KindOffline || !e.ObservedAt.Equal(first) || !e.ConfirmedAt.Equal(g.now) || !e.After.Equal(first.Add(-time.Minute)) ||
			(e.Detail == presence.NoSession) != (e.User.No == 3) {
			t.Errorf("event %+v", e)
		}
	}
}

// Who is answered to be online is not gated any more, whoever is in the answer.
func TestComesBack(t *testing.T) {
	g := newGateTrial(t, 200, 0)
	g.hears(g.says(1, 100, 60), false)
	g.hears(g.says(50, 60, 0), true)
	if g.memory.Gated() != 49 || g.memory.IsGated(user(50)) || !g.memory.IsGated(user(49)) {
		t.Errorf("%d are gated, want 49", g.memory.Gated())
	}
	g.waits(windowLength)
	g.turns(suspected, 49) // what the window counted stands
}

// While a decision is to come few flips are doubted, too, whoever brings them; before
// and behind it they are not.
func TestFewJoinTheMany(t *testing.T) {
	g := newGateTrial(t, 200, 0)
	few := func(from uint32, confirm, want bool) {
		t.Helper()
		if got := g.hears(g.says(from, from+9, 3), confirm); got != want {
			t.Errorf("3 flips of 10 from user %d on are suspicious: %t, want %t", from, got, want)
		}
	}
	few(1, false, false)
	g.hears(g.says(101, 160, 60), false)
	few(11, false, true)
	if g.hears(g.says(21, 30, 2), false) {
		t.Error("2 flips of 10 are suspicious, want a share of 0.3")
	}
	g.waits(windowLength)
	g.turns(suspected, 63)
	few(31, true, true)
	g.waits(0)
	sample, canaries := g.asks()
	g.replies(sample, 0, 0, canaries, 0, 0)
	g.turns(discarded, 66-len(sample))
	few(41, false, false)
}

// Who leaves the watchlist is dropped; when nobody is left it is over.
func TestLeavesTheWatchlist(t *testing.T) {
	g := newGateTrial(t, 100, 0)
	g.hears(g.says(1, 100, 60), false)
	g.waits(windowLength)
	g.turns(suspected, 60)
	for left := uint32(60); ; left = 99 {
		g.memory.BeginWatchlist()
		for no := left; no <= 100; no++ {
			g.memory.Mark([]byte(user(no).ID))
		}
		g.memory.EndWatchlist(g.now, 1)
		if left == 99 {
			break
		}
		g.still()
	}
	if i := g.turns(discarded, 0); i.Released || i.Flips != 60 || i.Decided != 0 || !i.Ended.Equal(g.now) || i.Rounds != 0 {
		t.Errorf("incident %+v", i)
	}
}

// Who was online before it went stale counts as who is told online; it is let go as
// a first answer is.
func TestStaleCounts(t *testing.T) {
	g := newGateTrial(t, 60, 0)
	g.memory.JudgeAge(time.Second, g.now, 1)
	if events := g.memory.Take().Transitions; len(events) != 60 {
		t.Fatalf("%d events, want 60 stale", len(events))
	}
	g.hears(g.says(1, 60, 60), false)
	g.waits(windowLength)
	g.turns(suspected, 60)
	sample, canaries := g.asks()
	if len(sample) != sampleAtMost || len(canaries) != 0 {
		t.Fatalf("%d and %d are asked about, want %d and 0", len(sample), len(canaries), sampleAtMost)
	}
	g.replies(sample, 0, 0, nil, 0, 0)
	g.turns(discarded, 10)
	if events := g.memory.Take().Transitions; len(events) != 50 || events[0].Kind != presence.KindBaseline || events[0].To != presence.Online {
		t.Errorf("%d events, want 50 who are online again", len(events))
	}
	// Who was answered since is as everybody else.
	g.memory.Observe(g.says(1, 60, 60), 1)
	g.memory.JudgeAge(-time.Second, g.now, 1)
	if g.hears(g.says(1, 60, 60), false) {
		t.Error("who was offline before it went stale is counted")
	}
}

// Who goes stale while gated is told so, and is not gated any more.
func TestStaleWhileGated(t *testing.T) {
	g := newGateTrial(t, 60, 0)
	g.hears(g.says(1, 59, 59), false)
	g.now = g.now.Add(time.Second)
	g.memory.JudgeAge(time.Second-time.Microsecond, g.now, 1)
	if g.memory.Gated() != 0 {
		t.Errorf("%d are gated, want none", g.memory.Gated())
	}
	if events := g.memory.Take().Transitions; len(events) != 60 || events[59].Kind != presence.KindStale {
		t.Errorf("%d events, want 60, all of them stale", len(events))
	}
	g.waits(time.Second)
	g.turns(suspected, 0)
	g.turns(discarded, 0)
}
