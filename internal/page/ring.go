package page

// ring keeps the newest events, numbered as they came, from 0.
type ring struct {
	most   int
	events []told // event n is at n % most
	next   int64
}

func (r *ring) add(t told) {
	if len(r.events) < r.most {
		r.events = append(r.events, t)
	} else {
		r.events[r.next%int64(r.most)] = t
	}
	r.next++
}

// first is the oldest that is kept.
func (r *ring) first() int64 { return r.next - int64(len(r.events)) }

// from adds events to a list, from one on that is kept, as many as there are and at
// most so many; behind is the one that follows.
func (r *ring) from(n int64, to []told, most int) (list []told, behind int64) {
	for ; n < r.next && most > 0; n, most = n+1, most-1 {
		to = append(to, r.events[n%int64(r.most)])
	}
	return to, n
}
