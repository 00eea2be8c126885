package diff

import (
	"time"

	"github.com/zim-presence/poller/presence"
)

// Observe compares an answer with what was known and notes what changed. An
// observation of a user who is not in the memory is passed over; the answer's
// misses are of no interest here.
func (m *Memory) Observe(a presence.Answer, sweep int64) {
	asked := a.AskedAt.UnixMicro()
	for _, o := range a.Observations {
		r := m.find(o.User.ID)
		if r == nil || o.Status == presence.Unknown {
			continue
		}
		if kind, changed := presence.KindOf(r.status, o.Status); changed {
			m.note(r, kind, o.Status, o.Detail, a.At, sweep)
			m.put(r, presence.State{Since: a.At, ObservedAt: a.At, AskedAt: a.AskedAt, Watched: true})
		} else if r.again {
			r.status = presence.Unknown // so far as whoever hears of it is concerned
			m.note(r, presence.KindBaseline, o.Status, o.Detail, a.At, sweep)
			m.put(r, presence.State{ObservedAt: a.At, AskedAt: a.AskedAt, Watched: true})
		} else if r.detail != o.Detail {
			r.detail = o.Detail
			m.put(r, presence.State{ObservedAt: a.At, AskedAt: a.AskedAt, Watched: true})
		}
		r.seen = asked
	}
}

// TellAgain has the next observation of a user told as a baseline when nothing
// else is to be told of it: what was told is not where it can be read any more.
// Since when the user is so stays as it was. It tells whether that is to come: who
// was never answered is told anyway, and who had an event behind asOf has been.
func (m *Memory) TellAgain(id string, asOf int64) bool {
	r := m.find(id)
	if r == nil || r.status == presence.Unknown || r.seq > asOf {
		return false
	}
	r.again = true
	return true
}

// remove tells that the user of r has left the watchlist, if anything was ever
// told of them, and frees the record.
func (m *Memory) remove(r *record, at time.Time, sweep int64) {
	var s presence.State
	if kind, told := presence.KindOf(r.status, presence.Unknown); told {
		m.note(r, kind, presence.Unknown, presence.NoDetail, at, sweep)
		s = presence.State{Since: at, ObservedAt: at, AskedAt: at}
	}
	m.put(r, s)
	slot := m.unlink(r.id)
	*r = record{}
	m.free = append(m.free, slot)
}

// note numbers a change of r and makes it.
func (m *Memory) note(r *record, kind presence.Kind, to presence.Status, detail presence.Detail, at time.Time, sweep int64) {
	m.lastSeq++
	t := presence.Transition{
		Seq: m.lastSeq, PrevSeq: r.seq, User: presence.User{No: r.no, ID: r.id},
		Kind: kind, From: r.status, To: to, Detail: detail, ObservedAt: at, Sweep: sweep,
	}
	if kind != presence.KindBaseline {
		t.After = earlier(time.UnixMicro(r.seen).UTC(), at)
	}
	m.pending = append(m.pending, t)
	r.seq, r.status, r.detail, r.again = t.Seq, to, detail, false
}

// put notes the state that r has come to; s brings what r does not hold.
func (m *Memory) put(r *record, s presence.State) {
	s.User, s.Status, s.Detail, s.LastSeq = presence.User{No: r.no, ID: r.id}, r.status, r.detail, r.seq
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
