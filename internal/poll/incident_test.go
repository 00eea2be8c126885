package poll

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zim-presence/poller/presence"
)

// newIncident takes a gate to where one begins: 100 users of 200 are gated, and
// there may be canaries besides.
func newIncident(t *testing.T, canaries uint32) *gateTrial {
	g := newGateTrial(t, 0, canaries)
	for no := range uint32(100) {
		g.add(no+1, presence.Online, time.Minute)
		g.add(no+101, presence.Offline, time.Minute)
	}
	g.hears(g.says(1, 200, 200), false)
	g.waits(windowLength)
	g.turns(suspected, 100)
	return g
}

// What one round comes to; nothing is that it is asked again.
func TestRound(t *testing.T) {
	for name, c := range map[string]struct {
		offline, missed      int // of a sample of 50
		canaries, gone, mute int
		want                 outcome
	}{
		"all are gone, the canaries are there":  {50, 0, 50, 0, 0, released},
		"three quarters":                        {38, 0, 50, 0, 0, released},
		"three quarters of forty":               {30, 10, 50, 0, 0, released},
		"just below three quarters":             {37, 0, 50, 0, 0, nothing},
		"a half":                                {25, 0, 50, 0, 0, nothing},
		"just below a half":                     {24, 0, 50, 0, 0, discarded},
		"nobody is gone":                        {0, 0, 50, 0, 0, discarded},
		"nobody is gone, without canaries":      {0, 0, 0, 0, 0, discarded},
		"half of the sample is answered":        {25, 25, 50, 0, 0, released},
		"less than half of it, all gone":        {24, 26, 50, 0, 0, nothing},
		"less than half of it, all back":        {0, 26, 50, 0, 0, nothing},
		"half of it, all back":                  {0, 25, 50, 0, 0, discarded},
		"nobody is answered":                    {0, 50, 50, 0, 50, nothing},
		"no canaries":                           {50, 0, 0, 0, 0, nothing},
		"the canaries are gone too":             {50, 0, 50, 50, 0, nothing},
		"exactly the share of canaries is gone": {50, 0, 50, 15, 0, nothing},
		"just below it":                         {50, 0, 50, 14, 0, released},
		"less than half of the canaries":        {50, 0, 50, 0, 26, nothing},
		"half of the canaries":                  {50, 0, 50, 0, 25, released},
		"one canary":                            {50, 0, 1, 0, 0, released},
		"more canaries than are asked":          {50, 0, 60, 0, 0, released},
	} {
		t.Run(name, func(t *testing.T) {
			g := newIncident(t, uint32(c.canaries))
			began := g.now.Add(-windowLength)
			sample, canaries := g.asks()
			if len(sample) != 50 || len(canaries) != min(50, c.canaries) {
				t.Fatalf("%d and %d are asked, want 50 and at most 50 of %d", len(sample), len(canaries), c.canaries)
			}
			g.still()
			if again, _ := g.asks(); again != nil {
				t.Fatalf("%d are asked while a round is under way", len(again))
			}
			g.replies(sample, c.offline, c.missed, canaries, c.gone, c.mute)
			if c.want == nothing {
				g.still()
				g.waits(firstPause)
				if again, _ := g.asks(); len(again) != 50 {
					t.Errorf("%d are asked again, want 50", len(again))
				}
				return
			}
			// Who was answered to be online is out.
			decided := 100 - (50 - c.offline - c.missed)
			want := Incident{
				Number: 1, Began: began, Ended: g.now, Released: c.want == released, Flips: 100, Decided: decided, Share: 1, Rounds: 1,
				SampleAsked: 50, SampleAnswered: 50 - c.missed, SampleOffline: c.offline,
				CanariesAsked: len(canaries), CanariesAnswered: len(canaries) - c.mute, CanariesOffline: c.gone,
			}
			if diff := cmp.Diff(want, g.turns(c.want, decided)); diff != "" {
				t.Errorf("incident (-want +got):\n%s", diff)
			}
		})
	}
}

// Canaries who are gone too are gated when they are as many as make an answer
// suspicious, and believed otherwise; they are no canaries any more.
func TestCanariesThatGo(t *testing.T) {
	for gone, gated := range map[int]int{14: 100, 15: 115, 50: 150} {
		g := newIncident(t, 60)
		sample, canaries := g.asks()
		g.replies(sample, 50, 0, canaries, gone, 0)
		if g.memory.Gated() != gated {
			t.Errorf("%d of 50 canaries are gone: %d gated, want %d", gone, g.memory.Gated(), gated)
		}
		if gone == 50 {
			g.waits(firstPause)
			if _, canaries := g.asks(); len(canaries) != 10 {
				t.Errorf("%d canaries are asked then, want the 10 who are left", len(canaries))
			}
		}
	}
}

// Everybody is offline at once: it is asked again until patience is over, and a last
// time then, which decides: nobody is told offline on what was answered before.
func TestPatience(t *testing.T) {
	const missed = -1
	for name, c := range map[string]struct {
		rounds []int // how many per cent of the sample are offline, or missed
		want   outcome
	}{
		"gone to the end":       {[]int{100, 100, 100, 100, 100, 100}, released},
		"missed to the end":     {[]int{missed, missed, missed, missed, missed, missed}, discarded},
		"three quarters":        {[]int{100, 100, 100, 100, 100, 76}, released},
		"less in the end":       {[]int{100, 100, 100, 100, 100, 74}, discarded},
		"back in the end":       {[]int{100, 100, 100, 100, 100, 0}, discarded},
		"no answers in the end": {[]int{100, 100, 100, 100, 100, missed}, discarded},
		"answers only then":     {[]int{missed, missed, missed, missed, missed, 100}, released},
		"back in the second":    {[]int{100, 40}, discarded},
		"undecided to the end":  {[]int{70, 70, 70, 70, 70, 70}, discarded},
	} {
		t.Run(name, func(t *testing.T) {
			g := newIncident(t, 0)
			over := g.now.Add(30 * time.Second)
			pauses := []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second}
			for n, offline := range c.rounds {
				if n == 5 && !g.now.Equal(over) {
					t.Fatalf("the last round begins %s before patience is over", over.Sub(g.now))
				}
				sample, _ := g.asks()
				if offline == missed {
					g.replies(sample, 0, len(sample), nil, 0, 0)
				} else {
					g.replies(sample, len(sample)*offline/100, 0, nil, 0, 0)
				}
				switch {
				case n == len(c.rounds)-1:
				case n < len(pauses):
					g.still()
					g.waits(pauses[n])
				default:
					g.still()
					g.waits(over.Sub(g.now))
				}
			}
			if i := g.turns(c.want, g.memory.Gated()); i.Rounds != len(c.rounds) {
				t.Errorf("%d rounds, want %d", i.Rounds, len(c.rounds))
			}
		})
	}
}

// The last round does not hold up the decision for long: it counts if it has brought
// enough by then, and no round before it does.
func TestLastRoundTakesLong(t *testing.T) {
	for during, want := range map[int]outcome{0: discarded, 24: discarded, 25: released} {
		g := newIncident(t, 0)
		over := g.now.Add(30 * time.Second)
		sample, _ := g.asks()
		g.replies(sample, 50, 0, nil, 0, 0)
		g.now = over
		sample, _ = g.asks()
		g.gives(sample[:during])
		g.waits(lastWait)
		if i := g.turns(want, 100); i.SampleAnswered != during || i.Rounds != 2 {
			t.Errorf("incident %+v, want the figures of the second round, %d answered", i, during)
		}
		g.gate.asked(g.now) // it ends when nobody waits for it any more
		g.still()
	}
}

// Where another round, or another call, is under way when patience is over, the last
// one begins behind it; when there is no time left for one, nobody is told offline.
func TestLastRoundComesLate(t *testing.T) {
	for name, c := range map[string]struct {
		behind time.Duration // the end of patience
		want   outcome
	}{
		"at once":       {0, nothing},
		"a moment late": {3 * time.Second, nothing},
		"just in time":  {lastWait - 1, nothing},
		"too late":      {lastWait, discarded},
	} {
		t.Run(name, func(t *testing.T) {
			g := newIncident(t, 0)
			over := g.now.Add(30 * time.Second)
			sample, _ := g.asks()
			g.gives(sample)
			g.still()
			if next := g.gate.next(false); !next.Equal(over.Add(lastWait)) {
				t.Errorf("something is to be done %s behind the end of patience, want %s", next.Sub(over), lastWait)
			}
			g.now = over.Add(c.behind)
			if c.want != nothing {
				g.turns(c.want, 100)
				return
			}
			g.still()
			g.gate.asked(g.now)
			g.still()
			sample, _ = g.asks()
			g.gives(sample)
			g.gate.asked(g.now)
			g.turns(released, 100)
		})
	}
}

// Answers that were asked for before the round, or that the sweep asked for, are
// no evidence.
func TestWhatIsNoEvidence(t *testing.T) {
	g := newIncident(t, 0)
	sample, _ := g.asks()
	before := presence.Answer{AskedAt: g.now.Add(-time.Microsecond), At: g.now}
	sweeps := presence.Answer{AskedAt: g.now, At: g.now}
	for _, u := range sample {
		before.Observations = append(before.Observations, observation(u, presence.Offline))
	}
	sweeps.Observations = before.Observations
	g.hears(before, true)
	g.hears(sweeps, false)
	g.gate.asked(g.now)
	g.still()
	g.waits(firstPause)
	g.now = g.gate.incident.decideBy()
	g.turns(discarded, 100)
}

// During an incident flips in suspicious answers join it, others pass.
func TestJoins(t *testing.T) {
	g := newIncident(t, 50)
	for no := uint32(301); no <= 500; no++ {
		g.add(no, presence.Online, time.Minute)
	}
	if !g.hears(g.says(301, 400, 30), false) || g.hears(g.says(401, 500, 29), false) || g.memory.Gated() != 130 {
		t.Errorf("%d gated, want 130", g.memory.Gated())
	}
	g.still()
	sample, canaries := g.asks()
	g.replies(sample, 50, 0, canaries, 0, 0)
	if i := g.turns(released, 130); i.Flips != 100 || i.Decided != 130 || i.Share != 1 {
		t.Errorf("incident %+v, want 130 decided, and the figures of the window", i)
	}
}

// A batch that is answered in parts opens one window, and is evidence as a whole.
func TestAnsweredInParts(t *testing.T) {
	g := newGateTrial(t, 200, 1)
	g.hears(g.says(1, 50, 30), false)
	g.now = g.now.Add(time.Second)
	g.hears(g.says(51, 100, 30), false)
	if g.gate.window != (tally{60, 100}) {
		t.Errorf("window %v, want 60 of 100", g.gate.window)
	}
	g.waits(time.Second)
	g.turns(suspected, 60)
	sample, canaries := g.asks()
	for n, part := range [][]presence.User{sample[:20], sample[20:], canaries} {
		a := presence.Answer{AskedAt: g.now, At: g.now}
		for _, u := range part {
			a.Observations = append(a.Observations, observation(u, offlineBelow(n, 2)))
		}
		g.hears(a, true)
	}
	g.gate.asked(g.now)
	if i := g.turns(released, 60); i.SampleAnswered != 50 || i.CanariesAnswered != 50 || i.Share != .6 {
		t.Errorf("incident %+v", i)
	}
}

// They come back one by one, in answers that nobody suspects.
func TestComesBackOneByOne(t *testing.T) {
	g := newIncident(t, 0)
	for no := uint32(1); no <= 100; no++ {
		g.still()
		g.now = g.now.Add(time.Millisecond)
		g.hears(g.says(no, no, 0), no%2 == 0)
	}
	if i := g.turns(discarded, 0); i.Flips != 100 || i.Decided != 0 {
		t.Errorf("incident %+v", i)
	}
}

// Those who are answered for the first time follow the flips, and are not asked;
// when they alone are left they are discarded.
func TestFirstAnswersFollow(t *testing.T) {
	for _, back := range []bool{false, true} {
		g := newGateTrial(t, 60, 1)
		for no := uint32(61); no <= 100; no++ {
			g.add(no, presence.Unknown, 0)
		}
		g.hears(g.says(1, 100, 100), false)
		g.waits(windowLength)
		g.turns(suspected, 100)
		if back {
			g.hears(g.says(1, 60, 0), false)
			g.still()
			if users := g.gate.ask(g.now); len(users) != 0 {
				t.Errorf("%d are asked, and nobody is left who flipped", len(users))
			}
			g.turns(discarded, 40)
			continue
		}
		sample, canaries := g.asks()
		for _, u := range sample {
			if u.No > 60 {
				t.Errorf("%v is asked, of whom nothing was told", u)
			}
		}
		g.replies(sample, 50, 0, canaries, 0, 0)
		g.turns(released, 100)
		kinds := map[presence.Kind]int{}
		for _, e := range g.memory.Take().Transitions {
			kinds[e.Kind]++
		}
		if kinds[presence.KindOffline] != 60 || kinds[presence.KindBaseline] != 40 {
			t.Errorf("events %v, want 60 offline, 40 baseline", kinds)
		}
	}
}
