package poll

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/presence"
)

const (
	// leastFlips is from how many flips on an answer can be suspicious by itself. With
	// fewer a share says little.
	leastFlips = 10
	// leastInWindow is from how many flips on a window can be an incident.
	leastInWindow = 50
	// windowLength is for how long answers are counted before anything is decided.
	windowLength = 2 * time.Second
)

// gate decides which answers are not to be believed at once: one that says of many
// users that they have gone is as likely to be nonsense as true. It is a state
// machine: the time comes with each call, never runs backwards, and nothing
// happens between two calls. One goroutine owns it, that of the memory, which holds
// what is gated.
//
// A flip is a user who is told online, or was before it went stale in this term, of
// whom no change waits, and whom an answer says to be offline; the share of an
// answer is flips by the users it is about who are so told. What happens to an
// answer:
//
//	share < max, or fewer than 10 flips while nobody is gated ─→ believed
//	else suspicious: its flips are gated, and who is offline by a first answer
//	  window of 2 s over all answers ─→ share < max, or fewer than 50 flips ─→ let go, unless an
//	                                 │  incident was discarded within patience
//	                                 └→ incident: ask again, see incident.go ─┬→ released
//	                                                                          └→ discarded
//
// A fault is hardly over with an incident that was discarded: what is left of it in the
// next window may be less than that takes, and would be told.
//
// While a decision is to come a share is enough, be it of few: a ZIM that lies does so
// also where few are online, and what is true is only told later.
//
// Only users who are said to be offline count. A ZIM that calls everybody online
// is not noticed.
type gate struct {
	share    float64 // max, above 0 and below 1
	patience time.Duration
	memory   *diff.Memory
	dice     *rand.Rand

	began, ends time.Time // of the window; zero while there is none
	window      tally
	incident    *incident
	incidents   int       // so far
	wary        time.Time // until when every window is an incident, since one was discarded
}

// tally counts flips among the users who are told online.
type tally struct{ flips, online int }

func (t tally) share() float64 {
	if t.online == 0 {
		return 0
	}
	return float64(t.flips) / float64(t.online)
}

// shut tells whether a decision is to come.
func (g *gate) shut() bool { return !g.ends.IsZero() || g.incident != nil }

// suspects judges an answer before the memory observes it. [gate.turn] is to be
// called before it, and after it was observed.
func (g *gate) suspects(a presence.Answer, now time.Time) bool {
	online, flips := g.memory.Judge(a)
	counted := tally{flips, online}
	suspicious := (flips >= leastFlips || flips > 0 && g.shut()) && counted.share() >= g.share
	if suspicious && !g.shut() {
		g.began, g.ends, g.window = now, now.Add(windowLength), tally{}
	}
	if !g.ends.IsZero() {
		g.window.flips += flips
		g.window.online += online
	}
	return suspicious
}

// next is when [gate.turn], or [gate.ask] where that can be called, will have
// something to do; zero for never.
func (g *gate) next(canAsk bool) time.Time {
	if g.incident != nil {
		return g.incident.next(canAsk)
	}
	return g.ends
}

// outcome is what a turn of the gate comes to.
type outcome uint8

const (
	// nothing: it goes on as before.
	nothing outcome = iota
	// suspected: the window is over, and an incident begins.
	suspected
	// letGo: the window is over, and was no incident. Who is gated is let go.
	letGo
	// released: what an incident is about is true. Who is gated is let go.
	released
	// discarded: it is not true, or nobody knows. What is gated is discarded.
	discarded
)

// turn does what is due: it ends the window, and an incident that can be decided.
// It is to be called until it comes to nothing. What it says of who is gated is for
// the caller to do, before anything else.
func (g *gate) turn(now time.Time) (outcome, Incident) {
	switch i := g.incident; {
	case i != nil:
		how := i.verdict(now, g.memory.Gated(), g.share)
		if how == nothing {
			return nothing, Incident{}
		}
		g.incident = nil
		if how == discarded {
			g.wary = now.Add(g.patience)
		}
		return how, i.end(now, how == released, g.memory.Gated())
	case g.ends.IsZero() || now.Before(g.ends):
		return nothing, Incident{}
	case (g.window.flips < leastInWindow || g.window.share() < g.share) && !g.ends.Before(g.wary):
		g.ends = time.Time{}
		return letGo, Incident{}
	}
	g.ends = time.Time{}
	g.incidents++
	g.incident = begin(g.incidents, g.began, now, g.patience, g.window)
	return suspected, g.incident.Incident
}

// ask begins a round of asking again, if one is due, and returns whom to ask
// about, in one batch; [gate.asked] ends it. Where no flips are left it is none, and
// there is a turn to be taken instead.
func (g *gate) ask(now time.Time) []presence.User {
	if g.incident == nil || !g.incident.isDue(now) {
		return nil
	}
	sample := g.memory.SampleGated(sampleAtMost, g.dice)
	if len(sample) == 0 {
		g.incident.flipless = true
		return nil
	}
	canaries := g.memory.SampleOnline(canariesAtMost, g.dice)
	g.incident.start(now, sample, canaries)
	users := slices.Concat(sample, canaries)
	g.dice.Shuffle(len(users), func(a, b int) { users[a], users[b] = users[b], users[a] })
	return users
}

// hear takes an answer that came by asking again as evidence.
func (g *gate) hear(a presence.Answer) {
	if g.incident != nil {
		g.incident.hear(a)
	}
}

// asked ends the round under way: no more answers are to come of it.
func (g *gate) asked(now time.Time) {
	if g.incident != nil {
		g.incident.stop(now)
	}
}
