package poll

import (
	"cmp"
	"iter"
	"math"
	"slices"

	"github.com/zim-presence/poller/presence"
)

// parts cuts changes into ones of at most so many transitions, states, changes
// that are held back and ones that are settled. A state goes with the newest
// transition of its user, or before all others when it has none here; so what a
// part brings is whole, as long as no user has two transitions where there are too
// many for one part.
//
// What is settled by a transition goes with it: whoever loads the state between two
// parts finds no change that was told, or whose user was removed, as held back
// still, and none that was lost before it was told. All else that is held back or
// settled comes with or behind the last transitions.
func parts(c presence.Changes, most int) iter.Seq[presence.Changes] {
	return func(yield func(presence.Changes) bool) {
		var told map[uint32]int64
		if max(len(c.Transitions), len(c.States), len(c.Settled)) > most {
			slices.SortFunc(c.States, func(a, b presence.State) int { return cmp.Compare(a.LastSeq, b.LastSeq) })
			told = tellings(c)
			slices.SortFunc(c.Settled, func(a, b uint32) int { return cmp.Compare(told[a], told[b]) })
		}
		for !c.Empty() {
			part := firstPart(c, most, told)
			c.Transitions, c.States = c.Transitions[len(part.Transitions):], c.States[len(part.States):]
			c.Held, c.Settled = c.Held[len(part.Held):], c.Settled[len(part.Settled):]
			if !yield(part) {
				return
			}
		}
	}
}

// firstPart returns the first part of changes whose states and settled ones are
// sorted, if they are too many for one.
func firstPart(c presence.Changes, most int, told map[uint32]int64) presence.Changes {
	if len(c.Transitions) <= most && len(c.States) <= most {
		c.Held, c.Settled = c.Held[:min(len(c.Held), most)], c.Settled[:min(len(c.Settled), most)]
		return c
	}
	alone := len(c.States)
	if len(c.Transitions) > 0 {
		alone = statesUntil(c, c.Transitions[0].Seq-1)
	}
	if alone > 0 {
		return presence.Changes{States: c.States[:min(alone, most)]}
	}
	transitions := c.Transitions[:min(len(c.Transitions), most)]
	last := transitions[len(transitions)-1].Seq
	return presence.Changes{Transitions: transitions, States: c.States[:statesUntil(c, last)], Settled: c.Settled[:settledUntil(c, last, told)]}
}

// statesUntil returns how many states have no newer event than seq.
func statesUntil(c presence.Changes, seq int64) int {
	n, _ := slices.BinarySearchFunc(c.States, seq+1, func(s presence.State, seq int64) int { return cmp.Compare(s.LastSeq, seq) })
	return n
}

// settledUntil returns how many were settled by no newer event than seq.
func settledUntil(c presence.Changes, seq int64, told map[uint32]int64) int {
	n, _ := slices.BinarySearchFunc(c.Settled, seq+1, func(no uint32, seq int64) int { return cmp.Compare(told[no], seq) })
	return n
}

// tellings returns by which transition the change of each user was settled: its
// number, or the highest there is where it was dropped.
func tellings(c presence.Changes) map[uint32]int64 {
	told := make(map[uint32]int64, len(c.Settled))
	for _, no := range c.Settled {
		told[no] = math.MaxInt64
	}
	for i := range c.Transitions {
		if _, settled := told[c.Transitions[i].User.No]; settled {
			told[c.Transitions[i].User.No] = c.Transitions[i].Seq
		}
	}
	return told
}
