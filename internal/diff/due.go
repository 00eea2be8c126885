package diff

import (
	"container/heap"
	"time"

	"github.com/zim-presence/poller/presence"
)

// How long to wait before a user is asked again of whom asking again brought no
// answer: at first, and at the most.
const (
	firstPause = 5 * time.Second
	mostPause  = time.Minute
)

// NextDue returns when the next users are due to be asked again, ok false for never.
func (m *Memory) NextDue() (at time.Time, ok bool) {
	for len(m.queue) > 0 {
		if turn := m.queue[0]; m.valid(turn) {
			return moment(turn.at), true
		}
		heap.Pop(&m.queue)
	}
	return time.Time{}, false
}

// Due returns up to most users whose changes an answer that is asked for now may
// confirm, the longest due first. They are not due again before [Memory.AskedAgain].
func (m *Memory) Due(now time.Time, most int) (users []presence.User) {
	for len(users) < most {
		at, ok := m.NextDue()
		if !ok || at.After(now) {
			break
		}
		no := m.queue[0].no
		heap.Pop(&m.queue)
		h := m.held[no]
		h.due = 0
		users = append(users, presence.User{No: no, ID: m.at(h.slot).id})
	}
	m.asksAgain = m.asksAgain || len(users) > 0
	return users
}

// AskedAgain ends what [Memory.Due] began: whose change waits still, for want of an
// answer, is due again after a pause that doubles each time.
func (m *Memory) AskedAgain(users []presence.User, now time.Time) {
	for _, u := range users {
		if h := m.held[u.No]; h != nil && !h.gated && h.due == 0 {
			h.pause = min(max(firstPause, 2*h.pause), mostPause)
			m.schedule(u.No, h, now.Add(h.pause).UnixMicro())
		}
	}
}

// schedule has a user asked again at a time.
func (m *Memory) schedule(no uint32, h *held, at int64) {
	h.due = at
	heap.Push(&m.queue, turn{at, no})
}

// valid tells whether a turn still is what is meant to happen.
func (m *Memory) valid(t turn) bool {
	h := m.held[t.no]
	return h != nil && h.due == t.at
}

// turn is when a user is to be asked again. Most often it does not come to that,
// and the turn is passed over when its time has come.
type turn struct {
	at int64 // µs since 1970
	no uint32
}

// queue is a heap of turns, the next one first.
type queue []turn

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push is that of [heap.Interface].
func (q *queue) Push(x any) {
	t, _ := x.(turn)
	*q = append(*q, t)
}

// Pop is that of [heap.Interface].
func (q *queue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}
