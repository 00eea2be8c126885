package diff

import (
	"time"

	"github.com/zim-presence/poller/presence"
)

// Observe compares an answer with what was known and notes what changed, or holds
// it back. An observation of a user who is not in the memory is passed over; the
// answer's misses are of no interest here. Of a user who is gated it notes no
// change: see [Memory.ObserveGated].
func (m *Memory) Observe(a presence.Answer, sweep int64) { m.observe(a, sweep, false) }

func (m *Memory) observe(a presence.Answer, sweep int64, gate bool) (doubted []uint32) {
	asked := a.AskedAt.UnixMicro()
	for i := range a.Observations {
		o := &a.Observations[i]
		r := m.find(o.User.ID)
		switch {
		case r == nil || o.Status == presence.Unknown || m.asksAgain && m.overtaken(r, &a):
		case gate && m.doubts(r, o):
			doubted = append(doubted, r.no)
		case r.status == o.Status && r.detail == o.Detail && r.flags == 0:
			r.seen = asked
		case r.flags&waiting != 0:
			m.compareWaiting(r, o, &a, sweep)
		case gate && flips(r, o):
			m.gate(r, o, &a)
		default:
			m.compare(r, o, &a, sweep)
		}
	}
	m.newest = max(m.newest, asked)
	return doubted
}

// compare notes what an observation changes of a user of whom nothing waits.
func (m *Memory) compare(r *record, o *presence.Observation, a *presence.Answer, sweep int64) {
	switch kind, changed := presence.KindOf(r.status, o.Status); {
	case changed && kind != presence.KindBaseline && m.hold[o.Status] > 0:
		m.holdBack(r, o, a)
		return // r.seen stays: the answer does not say what is told
	case changed:
		at := m.note(r, kind, o.Status, o.Detail, a.At, time.Time{}, sweep)
		m.put(r, presence.State{Since: at, ObservedAt: at, AskedAt: a.AskedAt, Watched: true})
	case r.flags&again != 0:
		r.status = presence.Unknown // so far as whoever hears of it is concerned
		at := m.note(r, presence.KindBaseline, o.Status, o.Detail, a.At, time.Time{}, sweep)
		m.put(r, presence.State{ObservedAt: at, AskedAt: a.AskedAt, Watched: true})
	case r.detail != o.Detail:
		r.detail, r.told = o.Detail, max(r.told, a.At.UnixMicro())
		m.put(r, presence.State{ObservedAt: moment(r.told), AskedAt: a.AskedAt, Watched: true})
	}
	r.seen = a.AskedAt.UnixMicro()
}

// TellAgain has the next observation of a user told as a baseline when nothing
// else is to be told of it: what was told is not where it can be read any more.
// Since when the user is so stays as it was. It tells whether that is to come: who
// was never answered is told anyway, and who had an event behind asOf has been.
// While a change of the user is held back it waits: that change is told, or what
// was told is, once more.
func (m *Memory) TellAgain(id string, asOf int64) bool {
	r := m.find(id)
	if r == nil || r.status == presence.Unknown || r.seq > asOf {
		return false
	}
	r.flags |= again
	return true
}

// remove tells that the user of r has left the watchlist, if anything was ever
// told of them, and frees the record.
func (m *Memory) remove(r *record, at time.Time, sweep int64) {
	m.suppress(r, at, Removed)
	var s presence.State
	_, told := presence.KindOf(r.status, presence.Unknown)
	if r.flags&stale != 0 {
		r.seen, told = r.told, true // what was told last is that it is not known
	}
	if told {
		at = m.note(r, presence.KindRemoved, presence.Unknown, presence.NoDetail, at, time.Time{}, sweep)
		s = presence.State{Since: at, ObservedAt: at, AskedAt: at}
	}
	m.put(r, s)
	slot := m.unlink(r.id)
	*r = record{}
	m.free = append(m.free, slot)
}

// note numbers a change of r and makes it. It returns as of when it is told to have
// been observed: no event of a user is before the one before. confirmed is zero
// for what was not held back.
func (m *Memory) note(r *record, kind presence.Kind, to presence.Status, detail presence.Detail, at, confirmed time.Time, sweep int64) time.Time {
	m.lastSeq++
	at = later(at, moment(r.told))
	t := presence.Transition{
		Seq: m.lastSeq, PrevSeq: r.seq, User: presence.User{No: r.no, ID: r.id},
		Kind: kind, From: r.status, To: to, Detail: detail, ObservedAt: at, Sweep: sweep,
	}
	if kind != presence.KindBaseline {
		t.After = earlier(time.UnixMicro(r.seen).UTC(), at)
	}
	if !confirmed.IsZero() {
		t.ConfirmedAt = later(confirmed, at)
	}
	m.pending = append(m.pending, t)
	r.seq, r.status, r.detail, r.told = t.Seq, to, detail, t.KnownAt().UnixMicro()
	r.flags &^= again | stale | lately
	return at
}

// put notes the state that r has come to; s brings what r does not hold.
func (m *Memory) put(r *record, s presence.State) {
	s.User, s.Status, s.Detail, s.LastSeq = presence.User{No: r.no, ID: r.id}, r.status, r.detail, r.seq
	s.Stale = r.flags&stale != 0
	if before, ok := m.states[r.no]; ok && s.Since.IsZero() {
		s.Since = before.Since
	}
	m.states[r.no] = s
}

// earlier guards the interval of an event against a clock that was set back.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// later guards the order of events against it.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
