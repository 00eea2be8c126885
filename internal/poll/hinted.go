package poll

import (
	"container/heap"
	"time"

	"github.com/zim-presence/poller/presence"
)

// ZIM may say that somebody has come before it answers so. So who is still answered to
// be what was told is asked about again, these times after the first.
const (
	secondLook = 2 * time.Second
	lastLook   = 10 * time.Second
)

// betweenLooks is how soon after a look a user is asked about again of whom the
// opposite is hinted meanwhile.
const betweenLooks = time.Second

// hintFresh is for how long an answer makes a hint needless that says the same.
const hintFresh = 5 * time.Second

// hinted are the users whom hints want asked about, at most [mostHints]. The goroutine
// that records owns it; the time comes with each call.
//
//	hint ─→ asked at once ─→ answered as the hint says ─→ done
//	                     └─→ not so ─→ asked 2 s later ─→ asked 10 s later ─→ done
type hinted struct {
	users map[uint32]*hintedUser
	queue looks
}

// hintedUser is one of them.
type hintedUser struct {
	user   presence.User
	online bool
	looks  int       // begun
	first  time.Time // of them
	due    time.Time // of the next; zero while one is under way
	afresh bool      // hinted at anew during that one
	right  bool      // what that one has answered is what is hinted
}

func newHinted() *hinted { return &hinted{users: map[uint32]*hintedUser{}} }

// hint notes a hint about a watched user. It returns what becomes of it.
func (h *hinted) hint(u presence.User, online bool, now time.Time) Hinting {
	e := h.users[u.No]
	switch {
	case e == nil && len(h.users) >= mostHints:
		return HintFull
	case e == nil:
		e = &hintedUser{user: u, online: online}
		h.users[u.No] = e
		h.schedule(e, now)
		return HintTaken
	case e.online == online:
		return HintDoubled
	}
	e.online = online
	switch {
	case e.due.IsZero() && !e.afresh:
		e.afresh = true
		return HintTaken
	case !e.due.IsZero() && e.looks > 0:
		e.looks = 0
		h.schedule(e, now.Add(betweenLooks))
		return HintTaken
	}
	return HintDoubled // who is said to be so is asked about anyway
}

// has tells whether a user is one of them.
func (h *hinted) has(no uint32) bool { return h.users[no] != nil }

// looksAt tells whether a look at the user is under way.
func (h *hinted) looksAt(no uint32) bool {
	e := h.users[no]
	return e != nil && e.due.IsZero()
}

// drop forgets a user, who is not to be looked at.
func (h *hinted) drop(no uint32) { delete(h.users, no) }

// next returns when the next user is to be asked about, ok false for never.
func (h *hinted) next() (at time.Time, ok bool) {
	for len(h.queue) > 0 {
		if l := h.queue[0]; h.valid(l) {
			return l.at, true
		}
		heap.Pop(&h.queue)
	}
	return time.Time{}, false
}

// take begins a look at up to most users who are due, the longest due first.
func (h *hinted) take(now time.Time, most int) (users []presence.User) {
	for len(users) < most {
		at, ok := h.next()
		if !ok || at.After(now) {
			break
		}
		l, _ := heap.Pop(&h.queue).(look)
		e := h.users[l.no]
		if e.looks == 0 {
			e.first = now
		}
		e.looks++
		e.due, e.afresh, e.right = time.Time{}, false, false
		users = append(users, e.user)
	}
	return users
}

// hear takes what a look has answered.
func (h *hinted) hear(o presence.Observation) {
	if h.looksAt(o.User.No) {
		e := h.users[o.User.No]
		e.right = o.Status != presence.Unknown && e.online == (o.Status == presence.Online)
	}
}

// looked ends the look at users: who is not what is hinted is due again, or done.
func (h *hinted) looked(users []presence.User, now time.Time) {
	for _, u := range users {
		e := h.users[u.No]
		switch {
		case e == nil:
		case e.right && !e.afresh:
			delete(h.users, u.No)
		case e.afresh:
			e.looks = 0
			h.schedule(e, now.Add(betweenLooks))
		case e.looks == 1:
			h.schedule(e, e.first.Add(secondLook))
		case e.looks == 2:
			h.schedule(e, e.first.Add(lastLook))
		default:
			delete(h.users, u.No)
		}
	}
}

func (h *hinted) schedule(e *hintedUser, at time.Time) {
	e.due = at
	heap.Push(&h.queue, look{at, e.user.No})
}

// valid tells whether a look still is what is meant to happen.
func (h *hinted) valid(l look) bool {
	e := h.users[l.no]
	return e != nil && e.due.Equal(l.at)
}

// look is when a user is to be asked about.
type look struct {
	at time.Time
	no uint32
}

// looks is a heap of looks, the next one first.
type looks []look

func (q looks) Len() int           { return len(q) }
func (q looks) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q looks) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push is that of [heap.Interface].
func (q *looks) Push(x any) {
	l, _ := x.(look)
	*q = append(*q, l)
}

// Pop is that of [heap.Interface].
func (q *looks) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}
