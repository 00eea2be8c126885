package diff

import (
	"time"

	"github.com/zim-presence/poller/presence"
)

// Hold is for how long a change has to last before it is told, by where it leads.
// Zero: it is told at once.
type Hold struct{ Offline, Online time.Duration }

// Why says why a change was never told.
type Why string

const (
	// Unconfirmed: a later answer said again what is told.
	Unconfirmed Why = "hold"
	// Implausible: it was gated, and not let go.
	Implausible Why = "incident"
	// Removed: the user left the watchlist meanwhile, and that was told.
	Removed Why = "removed"
	// Stale: there was no answer any more for so long that this was told.
	Stale Why = "stale"
)

// Suppressed is a change that was seen, and will never be told.
type Suppressed struct {
	Held presence.Held
	// At is when that was known.
	At  time.Time
	Why Why
}

// waits are the changes that are not told yet.
type waits struct {
	hold [presence.Online + 1]time.Duration // by the status that is held back
	held map[uint32]*held                   // by user number
	// fresh are the users whose change is not stored yet, or whose was; settled
	// are those whose stored one is to be deleted.
	fresh   []uint32
	settled map[uint32]struct{}
	gated   int // of held
	queue   queue
	// newest is when the newest answer of all was asked for. It counts once anybody
	// was to be asked again: then answers may overtake each other.
	newest    int64
	asksAgain bool
	tell      func(Suppressed)
}

// held is a change that is not told yet. The last answer that said what is told
// was asked for at the record's seen.
type held struct {
	slot   uint32
	to     presence.Status
	detail presence.Detail
	gated  bool
	fresh  bool  // not stored as it is
	stored bool  // there may be a row of the user's
	seenAt int64 // µs since 1970 when the first answer was read that said so
	asked  int64 // and when the newest was asked for
	due    int64 // µs since 1970 when to ask again; 0 while that is under way, or not to be
	pause  time.Duration
}

func newWaits() waits {
	return waits{held: map[uint32]*held{}, settled: map[uint32]struct{}{}, tell: func(Suppressed) {}}
}

// SetHold says what is held back from now on; tell is called with each change that
// will never be told, and may be nil. What waits already goes by the new hold.
func (m *Memory) SetHold(hold Hold, tell func(Suppressed)) {
	m.hold[presence.Offline], m.hold[presence.Online] = hold.Offline, hold.Online
	m.tell = tell
	if tell == nil {
		m.tell = func(Suppressed) {}
	}
	m.queue = nil
	for no, h := range m.held {
		if !h.gated && h.due != 0 {
			m.schedule(no, h, m.confirmableAt(h))
		}
	}
}

// AddHeld puts in a change that waits as the ledger knows it, once its user is in.
// One that can be told no more is settled: its user is not watched, or unknown, or
// told to be so already, or something was told behind it.
func (m *Memory) AddHeld(c presence.Held) {
	r := m.find(c.User.ID)
	if r == nil || r.status == presence.Unknown || r.status == c.To || c.To == presence.Unknown || micros(c.SeenAt) < r.told {
		m.settled[c.User.No] = struct{}{}
		return
	}
	after := micros(c.After)
	h := m.wait(r, &held{to: c.To, detail: c.Detail, stored: true, seenAt: micros(c.SeenAt), asked: max(r.seen, after)})
	r.seen = after
	m.schedule(r.no, h, m.confirmableAt(h))
}

// Held returns how many changes are held back, those gated not counted.
func (m *Memory) Held() int { return len(m.held) - m.gated }

// holdBack has the change that an observation says wait until it is confirmed.
func (m *Memory) holdBack(r *record, o *presence.Observation, a *presence.Answer) {
	h := m.wait(r, &held{to: o.Status, detail: o.Detail, seenAt: max(a.At.UnixMicro(), r.told), asked: a.AskedAt.UnixMicro()})
	m.store(r.no, h)
	m.schedule(r.no, h, m.confirmableAt(h))
}

// wait puts in a change of r, of whom none waits.
func (m *Memory) wait(r *record, h *held) *held {
	place, _ := m.place(r.id)
	h.slot = m.index.table[place] - 1
	m.held[r.no] = h
	r.flags |= waiting
	return h
}

// store has a change that waits written with the next [Memory.Take].
func (m *Memory) store(no uint32, h *held) {
	if _, was := m.settled[no]; was {
		delete(m.settled, no) // it takes the place of the one before
		h.stored = true
	}
	h.fresh = true
	m.fresh = append(m.fresh, no)
}

// settle ends the waiting for r, whatever came of it.
func (m *Memory) settle(r *record, h *held) {
	delete(m.held, r.no)
	r.flags &^= waiting
	if h.stored {
		m.settled[r.no] = struct{}{}
	}
	if h.gated {
		m.gated--
	}
}

// suppress drops the change of r that waits, if one does.
func (m *Memory) suppress(r *record, at time.Time, why Why) {
	if r.flags&waiting == 0 {
		return
	}
	h := m.held[r.no]
	if h.gated && why == Unconfirmed {
		why = Implausible
	}
	c := h.change(r)
	m.settle(r, h)
	m.tell(Suppressed{Held: c, At: at, Why: why})
}

// compareWaiting brings an observation to a user of whom a change waits.
func (m *Memory) compareWaiting(r *record, o *presence.Observation, a *presence.Answer, sweep int64) {
	h, asked := m.held[r.no], a.AskedAt.UnixMicro()
	if o.Status != h.to {
		m.suppress(r, a.At, Unconfirmed)
		m.compare(r, o, a, sweep)
		return
	}
	h.detail, h.asked = o.Detail, asked
	if !h.gated && asked >= m.confirmableAt(h) {
		m.confirm(r, h, a.At, a.At, sweep)
	}
}

// confirm tells a change that waited, as decided at that moment; the user was last
// seen so at seen.
func (m *Memory) confirm(r *record, h *held, seen, at time.Time, sweep int64) {
	kind, _ := presence.KindOf(r.status, h.to)
	m.settle(r, h)
	since := m.note(r, kind, h.to, h.detail, moment(h.seenAt), at, sweep)
	m.put(r, presence.State{Since: since, ObservedAt: later(since, seen), AskedAt: moment(h.asked), Watched: true})
	r.seen = h.asked
}

// confirmableAt is from when on an answer that is asked for confirms a change.
func (m *Memory) confirmableAt(h *held) int64 { return h.seenAt + m.hold[h.to].Microseconds() }

// change is what waits, in the words of the ledger.
func (h *held) change(r *record) presence.Held {
	return presence.Held{
		User: presence.User{No: r.no, ID: r.id}, To: h.to, Detail: h.detail,
		After: earlier(moment(r.seen), moment(h.seenAt)), SeenAt: moment(h.seenAt),
	}
}

// takeHeld returns what has to be stored of the changes that wait.
func (m *Memory) takeHeld() (changes []presence.Held, settled []uint32) {
	for _, no := range m.fresh {
		if h := m.held[no]; h != nil && h.fresh {
			h.fresh, h.stored = false, true
			changes = append(changes, h.change(m.at(h.slot)))
		}
	}
	m.fresh = m.fresh[:0]
	for no := range m.settled {
		settled = append(settled, no)
	}
	clear(m.settled)
	return changes, settled
}

// overtaken tells, once anybody was asked again, whether an answer was asked for
// before the newest one about r was, and came here behind it. That can be where the
// one who asks again and the sweep ask at once; which of the two ZIM looked at last
// nobody knows, and what came first stands. A clock that is behind what the ledger
// knows overtakes nothing.
func (m *Memory) overtaken(r *record, a *presence.Answer) bool {
	newest := m.answered(r)
	return a.AskedAt.UnixMicro() < newest && newest <= m.newest
}

// answered is when the newest answer about r was asked for, whatever it said.
func (m *Memory) answered(r *record) int64 {
	if r.flags&waiting != 0 {
		return m.held[r.no].asked
	}
	return r.seen
}
