package audit

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/zim-presence/poller/presence"
)

// fold is how everybody stands after the events so far, by user number.
type fold struct {
	online, known *roaring.Bitmap
	// Of whom the events say how they stand: everybody but those in doubt, or,
	// behind a beginning of which nothing is known, those in sure alone.
	all         bool
	sure, vague *roaring.Bitmap
	// numbers are those that the events named; one is one user's.
	numbers *roaring.Bitmap
	// differed are the users in whom the last snapshot did.
	differed *roaring.Bitmap
}

// newFold returns the fold of nothing. all tells that nobody was known then;
// without it nothing is known of the time before.
func newFold(all bool) *fold {
	return &fold{
		online: roaring.New(), known: roaring.New(), all: all, sure: roaring.New(), vague: roaring.New(), numbers: roaring.New(), differed: roaring.New(),
	}
}

// of returns how a user stands, and whether that is known.
func (f *fold) of(no uint32) (presence.Status, bool) {
	settled := f.all && !f.vague.Contains(no) || f.sure.Contains(no)
	switch {
	case f.online.Contains(no):
		return presence.Online, settled
	case f.known.Contains(no):
		return presence.Offline, settled
	}
	return presence.Unknown, settled
}

func (f *fold) set(no uint32, to presence.Status) {
	put(f.online, no, to == presence.Online)
	put(f.known, no, to != presence.Unknown)
	if f.all {
		f.vague.Remove(no)
	} else {
		f.sure.Add(no)
	}
}

func put(set *roaring.Bitmap, no uint32, in bool) {
	if in {
		set.Add(no)
	} else {
		set.Remove(no)
	}
}

// doubt says that the events do not tell how a user stands.
func (f *fold) doubt(no uint32) {
	f.vague.Add(no)
	f.sure.Remove(no)
}

// forget says that events are missing: nothing is sure but what comes.
func (f *fold) forget() {
	f.all = false
	f.sure, f.vague = roaring.New(), roaring.New()
}

// settled cuts a set of users down to those whose standing is known.
func (f *fold) settled(set *roaring.Bitmap) *roaring.Bitmap {
	if f.all {
		return roaring.AndNot(set, f.vague)
	}
	return roaring.And(set, f.sure)
}

// learn takes over from a snapshot how those stand of whom it was not known.
func (f *fold) learn(online, known *roaring.Bitmap) {
	f.online = f.merge(f.online, online)
	f.known = f.merge(f.known, known)
	f.all = true
	f.sure, f.vague = roaring.New(), roaring.New()
}

func (f *fold) merge(mine, theirs *roaring.Bitmap) *roaring.Bitmap {
	kept := f.settled(mine)
	kept.Or(roaring.AndNot(theirs, f.settled(theirs)))
	return kept
}

// correct takes over from a snapshot how some users stand.
func (f *fold) correct(users, online, known *roaring.Bitmap) {
	f.online = roaring.Or(roaring.AndNot(f.online, users), roaring.And(online, users))
	f.known = roaring.Or(roaring.AndNot(f.known, users), roaring.And(known, users))
}
