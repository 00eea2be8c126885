package past

import (
	"iter"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/zim-presence/poller/presence"
)

// Change is what two states say of a user on whom they differ.
type Change struct {
	No       uint32 // see [presence.User.No]
	From, To presence.Status
}

// Kind says what the change is, as an event would; but for who is unknown in the
// second state: it is [presence.KindRemoved] also of who went stale, since a state
// does not say why.
func (c Change) Kind() presence.Kind {
	kind, _ := presence.KindOf(c.From, c.To)
	return kind
}

// Changes yields on whom two states differ, by ascending number: the net changes
// where the one is of an earlier time than the other. Neither may change
// meanwhile.
func Changes(from, to *State) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		changed := differing(from, to)
		before, after := newPeeker(from, changed), newPeeker(to, changed)
		for no := range roaring.Values(changed) {
			if !yield(Change{No: no, From: before.status(no), To: after.status(no)}) {
				return
			}
		}
	}
}

// Distance returns on how many users two states differ.
func Distance(a, b *State) int { return int(differing(a, b).GetCardinality()) }

func differing(a, b *State) *roaring.Bitmap {
	d := roaring.Xor(a.online, b.online)
	d.Or(roaring.Xor(a.known, b.known))
	return d
}

// peeker tells the status of users who are asked about in ascending order: a
// lookup of each would cost many times as much.
type peeker struct{ online, known roaring.IntPeekable }

// newPeeker returns the peeker for the users in a set.
func newPeeker(s *State, set *roaring.Bitmap) peeker {
	return peeker{roaring.And(s.online, set).Iterator(), roaring.And(s.known, set).Iterator()}
}

func (p peeker) status(no uint32) presence.Status {
	online, known := passes(p.online, no), passes(p.known, no)
	switch {
	case online:
		return presence.Online
	case known:
		return presence.Offline
	}
	return presence.Unknown
}

// passes tells whether the iterator stands at a number, and moves on if so.
func passes(i roaring.IntPeekable, no uint32) bool {
	if i.HasNext() && i.PeekNext() == no {
		i.Next()
		return true
	}
	return false
}
