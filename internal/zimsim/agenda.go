package zimsim

// due is the next thing that happens to a user, in simulated nanoseconds.
type due struct {
	at   int64
	user uint32
}

// agenda is a binary heap with exactly one entry a user, soonest first; equal times go by user number, so that the
// order of events does not depend on how far each advance goes.
type agenda []due

func (a agenda) before(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].user < a[j].user
}

// order makes a heap of entries in any order.
func (a agenda) order() {
	for i := len(a)/2 - 1; i >= 0; i-- {
		a.sink(i)
	}
}

// sink restores the order after the entry at i was put off.
func (a agenda) sink(i int) {
	for {
		soonest := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(a); child++ {
			if a.before(child, soonest) {
				soonest = child
			}
		}
		if soonest == i {
			return
		}
		a[i], a[soonest] = a[soonest], a[i]
		i = soonest
	}
}
