package zimsim

import "time"

// minArrivalLog is the least length of the log of arrivals that may be configured.
const minArrivalLog = 1_000_000

// arrivals logs when requests arrived and keeps the most in any half-open second, exactly, while they come.
// Offsets are those of the server's monotonic clock, and never decrease in the log.
type arrivals struct {
	limit  int
	ring   []time.Duration // arrival number n (from 0) is at n modulo len, a power of two
	total  uint64
	oldest uint64 // number of the first that is still in the ring
	window uint64 // number of the oldest arrival in the newest second
	first  time.Duration
	most   int
	gap    time.Duration // smallest between neighbours; negative when there are none
}

func newArrivals(limit int) arrivals {
	return arrivals{limit: max(limit, minArrivalLog), ring: make([]time.Duration, 64), gap: -1}
}

// add logs an arrival and returns how many lie in the second that ends with it: after at-1s, up to and including at.
// One that was overtaken on its way to the log takes its place there.
func (a *arrivals) add(at time.Duration) int {
	a.grow()
	n := a.total
	a.total++
	for ; n > a.oldest && a.when(n-1) > at; n-- {
		a.put(n, a.when(n-1))
	}
	a.put(n, at)
	if n == 0 {
		a.first = at
	}
	for i := max(n, a.oldest+1); i <= min(n+1, a.total-1); i++ {
		if gap := a.when(i) - a.when(i-1); a.gap < 0 || gap < a.gap {
			a.gap = gap
		}
	}
	return a.seconds(n)
}

// seconds counts anew the seconds that end with number n, which is new, or with a later one, and returns how many
// lie in the first of them.
func (a *arrivals) seconds(n uint64) (in int) {
	from := a.window
	if n < a.total-1 { // overtaken
		for from = n; from > a.oldest && a.when(from-1) > a.when(n)-time.Second; {
			from--
		}
	}
	for end := n; end < a.total; end++ {
		for a.when(from) <= a.when(end)-time.Second {
			from++
		}
		count := int(end - from + 1)
		if end == n {
			in = count
		}
		a.most = max(a.most, count)
	}
	a.window = from
	return in
}

func (a *arrivals) put(n uint64, at time.Duration) { a.ring[n&uint64(len(a.ring)-1)] = at }

// when is the offset of an arrival that is still kept.
func (a *arrivals) when(n uint64) time.Duration { return a.ring[n&uint64(len(a.ring)-1)] }

// grow makes room for one more: a full ring doubles if it may still grow or if the newest second fills it, and
// forgets its oldest arrival otherwise.
func (a *arrivals) grow() {
	if a.total-a.oldest < uint64(len(a.ring)) {
		return
	}
	if len(a.ring) >= a.limit && a.window > a.oldest {
		a.oldest++
		return
	}
	bigger := make([]time.Duration, 2*len(a.ring))
	for n := a.oldest; n < a.total; n++ {
		bigger[n&uint64(len(bigger)-1)] = a.when(n)
	}
	a.ring = bigger
}

// since copies the log from arrival number n (from 0) on, and says the number of the first copied.
func (a *arrivals) since(n uint64) (log []time.Duration, first uint64) {
	first = max(n, a.oldest)
	for i := first; i < a.total; i++ {
		log = append(log, a.when(i))
	}
	return log, first
}
