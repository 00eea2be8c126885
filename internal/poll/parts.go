package poll

import (
	"cmp"
	"iter"
	"slices"

	"github.com/zim-presence/poller/presence"
)

// parts cuts changes into ones of at most so many transitions, states, changes
// that are held back and ones that are settled. A state goes with the newest
// transition of its user, or before all others when it has none here; so what a
// part brings is whole, as long as no user has two transitions where there are too
// many for one part.
//
// What is held back or settled comes with or behind all transitions. Whoever loads
// the state between two parts then finds a change that was told as held back still,
// which shows, and never one that was lost before it was told.
func parts(c presence.Changes, most int) iter.Seq[presence.Changes] {
	return func(yield func(presence.Changes) bool) {
		if len(c.Transitions) > most || len(c.States) > most {
			slices.SortFunc(c.States, func(a, b presence.State) int { return cmp.Compare(a.LastSeq, b.LastSeq) })
		}
		for !c.Empty() {
			part := firstPart(c, most)
			c.Transitions, c.States = c.Transitions[len(part.Transitions):], c.States[len(part.States):]
			c.Held, c.Settled = c.Held[len(part.Held):], c.Settled[len(part.Settled):]
			if !yield(part) {
				return
			}
		}
	}
}

// firstPart returns the first part of changes whose states are sorted, if they
// are too many for one.
func firstPart(c presence.Changes, most int) presence.Changes {
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
	told := c.Transitions[:min(len(c.Transitions), most)]
	return presence.Changes{Transitions: told, States: c.States[:statesUntil(c, told[len(told)-1].Seq)]}
}

// statesUntil returns how many states have no newer event than seq.
func statesUntil(c presence.Changes, seq int64) int {
	n, _ := slices.BinarySearchFunc(c.States, seq+1, func(s presence.State, seq int64) int { return cmp.Compare(s.LastSeq, seq) })
	return n
}
