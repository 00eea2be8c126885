package chaos

import (
	"slices"
	"sort"
	"time"

	"github.com/zim-presence/poller/presence"
)

// lives is what was true of an app's users, whatever anybody told of it.
type lives struct {
	users  map[string]*life
	sweeps []looked // by the time of their end
	slack  time.Duration
}

// life is one user's: how ZIM saw it, and whether it was on the watchlist. Both
// begin with what was so before the first turn.
type life struct {
	number  uint32 // its user_no, 0 for one that the poller never had
	status  line
	watched line
}

// line is a thing that changes: what it is at first, and its turns in order.
type line struct {
	first presence.Status
	turns []turn
}

// turn is a change to another value, which happened not before from and not
// after to.
type turn struct {
	from, to time.Time
	value    presence.Status
}

// looked is a complete sweep: everybody was asked about, and the answers are
// known, but for those who were missed.
type looked struct {
	started, finished time.Time
	missed            []span
}

// span is a run of user_no, the end not included.
type span struct{ from, to uint32 }

// The two values that the line of the watchlist has.
const (
	isWatched = presence.Online
	isNot     = presence.Unknown
)

// among tells whether the line had a value at some moment of an interval, both
// ends included.
func (l line) among(value presence.Status, from, to time.Time) bool {
	at := l.first
	for i, t := range l.turns {
		// The value before the turn holds until it, the one behind it from it on; a
		// turn that is only known to be somewhere allows both all along.
		if at == value && !t.to.Before(from) && (i == 0 || !l.turns[i-1].from.After(to)) {
			return true
		}
		at = t.value
	}
	return at == value && (len(l.turns) == 0 || !l.turns[len(l.turns)-1].from.After(to))
}

// since is the moment from which on what is told of a user at a time may have
// been true; zero for the beginning of everything.
//
// What is told at T is the answer that was read last before T. When its request
// left is not kept, but of the newest complete sweep that had ended by T and in
// which the user was not missed it is known that all its requests left behind
// its start: so the answer that counts at T is of that sweep, or of a later one.
// It was true at some moment between its leaving and its reading. So:
//
//	what is told at T was true at some moment of [start of that sweep, T]
//
// and no more is promised: who comes and goes between two looks was never seen,
// and who turns after the look is told by the next one. Where the truth did not
// turn in the window there is one right answer; else any of the values in it.
func (v *lives) since(user *life, at time.Time) time.Time {
	ended := sort.Search(len(v.sweeps), func(i int) bool { return v.sweeps[i].finished.After(at) })
	for _, s := range slices.Backward(v.sweeps[:ended]) {
		if !slices.ContainsFunc(s.missed, func(m span) bool { return m.from <= user.number && user.number < m.to }) {
			return s.started
		}
	}
	return time.Time{}
}

// judge holds what is told of a user at a time against the truth, and tells also
// whether one answer alone is right. Watched and not answered yet is told as
// unknown, and so is who is not watched: the poller has to know everybody who was on
// the list through the whole window, and nobody who was not.
func (v *lives) judge(user *life, told presence.Status, at time.Time) (right, alone bool) {
	since := v.since(user, at)
	watched := user.watched.among(isWatched, since, at)
	answers := [...]bool{
		presence.Unknown: since.IsZero() || user.watched.among(isNot, since, at),
		presence.Offline: watched && user.status.among(presence.Offline, since.Add(-v.slack), at.Add(v.slack)),
		presence.Online:  watched && user.status.among(presence.Online, since.Add(-v.slack), at.Add(v.slack)),
	}
	n := 0
	for _, is := range answers {
		if is {
			n++
		}
	}
	return answers[told], n == 1
}
