package diff

import (
	"cmp"
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/zim-presence/poller/presence"
)

// Judge says, without noting anything, how many users an answer is about who are
// told to be online, or were before they went stale in this memory, and of whom no
// change waits; and of how many of them it says that they are offline.
func (m *Memory) Judge(a presence.Answer) (online, flips int) {
	for _, o := range a.Observations {
		r := m.find(o.User.ID)
		if r == nil || !r.online() || r.flags&waiting != 0 || o.Status == presence.Unknown || m.asksAgain && m.overtaken(r, &a) {
			continue
		}
		online++
		if o.Status == presence.Offline {
			flips++
		}
	}
	return online, flips
}

// ObserveGated is [Memory.Observe] of an answer that may be nonsense. Who would go
// offline by it, or is offline by a first answer, is gated: nothing of it is told
// or stored, until everybody gated is let go or discarded together. An answer that
// says online of somebody gated ends the gating at once.
//
// Where it says offline of anybody else it says nothing: of who is told to be so, or
// of whom a change is held back. It returns who they are. What they were known by
// stands, or an answer that is discarded would narrow the interval of their next
// event.
func (m *Memory) ObserveGated(a presence.Answer, sweep int64) (doubted []uint32) {
	return m.observe(a, sweep, true)
}

// doubts tells whether an observation of an answer that may be nonsense is passed
// over.
func (m *Memory) doubts(r *record, o *presence.Observation) bool {
	if o.Status != presence.Offline {
		return false
	}
	if r.flags&waiting != 0 {
		return !m.held[r.no].gated
	}
	return r.status == presence.Offline
}

// flips tells whether an observation is of the sort that is gated.
func flips(r *record, o *presence.Observation) bool {
	return o.Status == presence.Offline && r.status != presence.Offline
}

// online tells whether a user is told to be online, or was before it went stale.
func (r *record) online() bool { return r.status == presence.Online || r.flags&lately != 0 }

// gate has what an observation says wait for a decision about everybody.
func (m *Memory) gate(r *record, o *presence.Observation, a *presence.Answer) {
	m.wait(r, &held{to: o.Status, detail: o.Detail, gated: true, seenAt: max(a.At.UnixMicro(), r.told), asked: a.AskedAt.UnixMicro()})
	m.gated++
	m.asksAgain = true
}

// Gated returns how many users are gated.
func (m *Memory) Gated() int { return m.gated }

// IsGated tells whether a user is.
func (m *Memory) IsGated(u presence.User) bool {
	h := m.held[u.No]
	return h != nil && h.gated
}

// LetGo takes what is gated for true, as decided at that moment, and returns how
// many users that is about. It is told, as observed when it was seen and confirmed
// now; or, where that is to be held back, waits on as if it had never been gated.
// What else has changed is to be taken before, or a user may have two transitions
// among many, and what comes of it is to be taken alone.
func (m *Memory) LetGo(at time.Time, sweep int64) (users int) {
	for _, no := range m.gatedNumbers() {
		h := m.held[no]
		r := m.at(h.slot)
		if r.status != presence.Unknown && m.hold[h.to] > 0 {
			h.gated = false
			m.gated--
			m.store(no, h)
			m.schedule(no, h, m.confirmableAt(h))
		} else {
			m.confirm(r, h, moment(max(h.seenAt, h.asked)), at, sweep)
		}
		users++
	}
	return users
}

// Discard forgets what is gated, as if it had not been answered, and returns it.
// [Suppressed] is told of each.
func (m *Memory) Discard(at time.Time) (changes []presence.Held) {
	for _, no := range m.gatedNumbers() {
		r := m.at(m.held[no].slot)
		changes = append(changes, m.held[no].change(r))
		m.suppress(r, at, Implausible)
	}
	return changes
}

// DropGated forgets what is gated without a word, since nobody will decide.
func (m *Memory) DropGated() {
	for _, no := range m.gatedNumbers() {
		h := m.held[no]
		m.settle(m.at(h.slot), h)
	}
}

// gatedNumbers are the users who are gated, in the order in which they were.
func (m *Memory) gatedNumbers() []uint32 {
	if m.gated == 0 {
		return nil
	}
	numbers := make([]uint32, 0, m.gated)
	for no, h := range m.held {
		if h.gated {
			numbers = append(numbers, no)
		}
	}
	slices.SortFunc(numbers, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(m.held[a].seenAt, m.held[b].seenAt), cmp.Compare(a, b))
	})
	return numbers
}

// SampleGated draws up to most of those gated who are told to be online, or were
// before they went stale.
func (m *Memory) SampleGated(most int, dice *rand.Rand) []presence.User {
	numbers := slices.DeleteFunc(m.gatedNumbers(), func(no uint32) bool {
		return !m.at(m.held[no].slot).online()
	})
	dice.Shuffle(len(numbers), func(i, j int) { numbers[i], numbers[j] = numbers[j], numbers[i] })
	users := make([]presence.User, 0, most)
	for _, no := range numbers[:min(most, len(numbers))] {
		users = append(users, presence.User{No: no, ID: m.at(m.held[no].slot).id})
	}
	return users
}

// SampleOnline returns up to most users who are told to be online and of whom no
// change waits: those whose answers are the freshest, by chance among equals.
func (m *Memory) SampleOnline(most int, dice *rand.Rand) []presence.User {
	var freshest sample
	for r := range m.records() {
		if r.status != presence.Online || r.flags&waiting != 0 {
			continue
		}
		one := drawn{r.seen, dice.Uint32(), presence.User{No: r.no, ID: r.id}}
		if len(freshest) < most {
			heap.Push(&freshest, one)
		} else if most > 0 && freshest[0].before(one) {
			freshest[0] = one
			heap.Fix(&freshest, 0)
		}
	}
	users := make([]presence.User, 0, len(freshest))
	for _, one := range freshest {
		users = append(users, one.user)
	}
	return users
}

// drawn is a user in a sample, and what keeps it there.
type drawn struct {
	seen int64
	lot  uint32
	user presence.User
}

func (d drawn) before(o drawn) bool { return d.seen < o.seen || d.seen == o.seen && d.lot < o.lot }

// sample is a heap of users, the one to give way first.
type sample []drawn

func (s sample) Len() int           { return len(s) }
func (s sample) Less(i, j int) bool { return s[i].before(s[j]) }
func (s sample) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

// Push is that of [heap.Interface].
func (s *sample) Push(x any) {
	d, _ := x.(drawn)
	*s = append(*s, d)
}

// Pop is that of [heap.Interface].
func (s *sample) Pop() any {
	last := len(*s) - 1
	x := (*s)[last]
	*s = (*s)[:last]
	return x
}
