package evidence

import (
	"time"

	"github.com/zim-presence/poller/presence"
)

// Request is one request and its answer, as far as it had one.
type Request struct {
	// AskedAt is when it left, At when its answer was read or it was given up.
	AskedAt, At time.Time
	// Lane is what it was sent for: a sweep, or to confirm.
	Lane string
	// Result is a word for what became of it.
	Result string
	// Code is that of ZIM, Status that of HTTP, 0 where there was no answer.
	Code   int64
	Status int
	// RequestID is ZIM's own, "" for none.
	RequestID string
	// Batch is whom it asked about, at most 65,535. The other two are what was
	// answered; who is in neither was not spoken of. All three stay the caller's.
	Batch        []presence.User
	Observations []presence.Observation
	Missed       []presence.Miss
}

// overhead is about what a request takes beside its users, in bytes: its entry, the
// room to spare in the ring, and what the allocator rounds up.
const overhead = 256

// perUser is what a user of a request takes.
const perUser = 5

// entry is a request as it is kept.
type entry struct {
	asked, at        int64 // microseconds since 1970
	lane, result, id string
	code             int64
	status           int
	users            []uint32
	said             []Said
}

func (e *entry) size() int { return overhead + len(e.id) + perUser*len(e.users) }

// newEntry copies what is to be kept of a request.
func newEntry(r Request) entry {
	e := entry{
		asked: micros(r.AskedAt), at: micros(r.At), lane: r.Lane, result: r.Result, id: r.RequestID, code: r.Code, status: r.Status,
		users: make([]uint32, len(r.Batch)), said: make([]Said, len(r.Batch)),
	}
	// The answer keeps the order of the batch, so that one walk finds everybody.
	o, m := 0, 0
	for i := range r.Batch {
		no := r.Batch[i].No
		e.users[i] = no
		if o < len(r.Observations) && r.Observations[o].User.No == no {
			e.said[i] = saidStatus(r.Observations[o])
			o++
		} else if m < len(r.Missed) && r.Missed[m].User.No == no {
			e.said[i] = saidMiss(r.Missed[m].Reason)
			m++
		}
	}
	if o < len(r.Observations) || m < len(r.Missed) {
		e.search(r)
	}
	return e
}

// search finds whom the walk has not: the answer is in another order.
func (e *entry) search(r Request) {
	said := make(map[uint32]Said, len(r.Observations)+len(r.Missed))
	for i := range r.Observations {
		said[r.Observations[i].User.No] = saidStatus(r.Observations[i])
	}
	for i := range r.Missed {
		said[r.Missed[i].User.No] = saidMiss(r.Missed[i].Reason)
	}
	for i, no := range e.users {
		e.said[i] = said[no]
	}
}
