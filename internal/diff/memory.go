// Package diff compares answers with what was known before. It is pure: it
// does no input or output and knows no clock. It imports presence, and the
// library of the bitmaps.
//
// [Memory] holds the last known state of every watched user of one app, in
// about 85 bytes a user, ids included. What is held back of a user is beside it,
// and costs nothing for those of whom nothing is. Its invariants:
//
//   - A miss changes nothing: only an observation, a removal or age does.
//   - What is told stays told while a change is held back; the change is told when
//     it is confirmed, from the same moment on as without a hold, or not at all.
//   - A user's events never step back in time.
//   - Applying the transitions to the old states gives the new ones, for
//     everybody, and numbers them without gaps.
//   - Whoever is told of a user again finds its previous event in PrevSeq.
//
// The memory runs ahead of the ledger by what [Memory.Take] has handed out. If
// that cannot be written, the memory is wrong, and is to be thrown away and
// restored from the ledger.
package diff

import (
	"iter"
	"time"

	"github.com/zim-presence/poller/presence"
)

// pageSize is the number of records in a page. Pages never move, so growing
// never holds a million records twice.
const pageSize = 4096

// Memory is the last known state of the watched users of one app. One goroutine
// owns it; [Memory.Users] says what another one may do meanwhile.
type Memory struct {
	index  index
	pages  [][]record
	free   []uint32
	top    uint32 // slots in use or free
	mark   uint8  // of the watchlist being read
	marked int    // users who have it

	lastSeq int64
	pending []presence.Transition
	states  map[uint32]presence.State // by user number

	waits
}

// record is one user in 48 bytes. A free one has no id.
type record struct {
	id string
	// seen is the µs since 1970 when the newest answer was asked for that said what
	// is told, 0 for never.
	seen   int64
	told   int64 // µs since 1970 before which nothing more may be told
	seq    int64
	no     uint32
	status presence.Status
	detail presence.Detail
	mark   uint8
	flags  flags
}

// flags are what is rare about a user.
type flags uint8

const (
	again   flags = 1 << iota // see TellAgain
	stale                     // the status is unknown for lack of answers
	waiting                   // there is a change in Memory.held
	lately                    // stale, and told to be online before
)

// New returns an empty memory of an app whose newest event is lastSeq. Nothing is
// held back before [Memory.SetHold].
func New(lastSeq int64) *Memory {
	return &Memory{index: newIndex(), lastSeq: lastSeq, states: map[uint32]presence.State{}, waits: newWaits()}
}

// Len returns the number of users.
func (m *Memory) Len() int { return m.index.count }

// LastSeq returns the number of the newest event, those not yet taken included.
func (m *Memory) LastSeq() int64 { return m.lastSeq }

// Add puts in a watched user as the ledger knows it: at the start everybody,
// later who is newly watched. seen is the latest moment at which the user is
// known to have been in this state, zero for none; its next event is not told as
// seen before s.Since and s.ObservedAt. A user who is there already is only marked.
func (m *Memory) Add(s presence.State, seen time.Time) {
	if r := m.find(s.User.ID); r != nil {
		m.setMark(r)
		return
	}
	slot := m.newSlot()
	r := m.at(slot)
	*r = record{
		id: s.User.ID, seq: s.LastSeq, no: s.User.No,
		status: s.Status, detail: s.Detail, mark: m.mark,
		seen: micros(seen), told: max(micros(s.ObservedAt), micros(s.Since)),
	}
	if s.Stale {
		r.flags = stale
	}
	m.link(slot)
	m.marked++
}

// BeginWatchlist starts the reading of a watchlist: nobody is marked.
func (m *Memory) BeginWatchlist() {
	m.mark++
	m.marked = 0
	if m.mark == 0 { // 256 watchlists ago somebody may have been marked 0
		for r := range m.records() {
			r.mark = 0
		}
		m.mark = 1
	}
}

// Mark notes that the watchlist holds the id, and tells whether the user is
// known; who is not has to be added.
func (m *Memory) Mark(id []byte) (known bool) {
	r := m.find(string(id))
	if r == nil {
		return false
	}
	m.setMark(r)
	return true
}

func (m *Memory) setMark(r *record) {
	if r.mark != m.mark {
		r.mark = m.mark
		m.marked++
	}
}

// Unmarked returns how many users [Memory.EndWatchlist] would remove.
func (m *Memory) Unmarked() int { return m.Len() - m.marked }

// EndWatchlist removes everybody who was not marked since [Memory.BeginWatchlist],
// as noticed at that moment by that sweep, and returns how many they were. It
// may only be called when the watchlist has been read to its end. Without it
// they stay, and the next reading begins anew.
func (m *Memory) EndWatchlist(at time.Time, sweep int64) (removed int) {
	for r := range m.records() {
		if r.mark != m.mark {
			m.remove(r, at, sweep)
			removed++
		}
	}
	return removed
}

// Users yields everybody. Another goroutine may range over it while the owner
// observes, but not while it adds, marks or removes.
func (m *Memory) Users() iter.Seq[presence.User] {
	return func(yield func(presence.User) bool) {
		for r := range m.records() {
			if !yield(presence.User{No: r.no, ID: r.id}) {
				return
			}
		}
	}
}

// Take returns what has changed since the last call, to be written.
func (m *Memory) Take() presence.Changes {
	c := presence.Changes{Transitions: m.pending}
	m.pending = nil
	if len(m.states) > 0 {
		c.States = make([]presence.State, 0, len(m.states))
		for _, s := range m.states {
			c.States = append(c.States, s)
		}
		clear(m.states)
	}
	c.Held, c.Settled = m.takeHeld()
	return c
}

// Pending returns how many transitions and changes of what is held back
// [Memory.Take] would return, at the most.
func (m *Memory) Pending() int { return len(m.pending) + len(m.fresh) + len(m.settled) }

func (m *Memory) at(slot uint32) *record { return &m.pages[slot/pageSize][slot%pageSize] }

func (m *Memory) newSlot() uint32 {
	if n := len(m.free); n > 0 {
		slot := m.free[n-1]
		m.free = m.free[:n-1]
		return slot
	}
	slot := m.top
	m.top++
	if slot%pageSize == 0 {
		m.pages = append(m.pages, make([]record, pageSize))
	}
	return slot
}

// records yields every user's record; the current one may be removed meanwhile.
func (m *Memory) records() iter.Seq[*record] {
	return func(yield func(*record) bool) {
		for _, page := range m.pages {
			for i := range page {
				if page[i].id != "" && !yield(&page[i]) {
					return
				}
			}
		}
	}
}

// micros is how a record keeps a time: µs since 1970, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// moment is the time that a record keeps.
func moment(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
