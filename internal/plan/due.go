package plan

import (
	"slices"
	"time"
)

// starts are the times between the starts of sweeps that take so long. Who starts
// for a due time has its end looked at: where due times fell into it, the last of
// them starts the next sweep at once and the others are skipped, else the next due
// time does.
func starts(gaps []time.Duration, sweep time.Duration) []time.Duration {
	switch {
	case sweep <= slices.Min(gaps):
		return gaps // none falls into one
	case sweep >= slices.Max(gaps):
		return []time.Duration{sweep} // one falls into each: back to back
	}
	var all []time.Duration
	var start, due, next time.Duration // next is the due time behind due
	next = gaps[0]
	for i := 1; i <= 2*len(gaps); { // twice around: the second is behind where the first began on time
		due = next
		next += gaps[i%len(gaps)]
		i++
		for next <= start+sweep {
			due = next
			next += gaps[i%len(gaps)]
			i++
		}
		began := max(due, start+sweep)
		all = append(all, began-start)
		start = began
	}
	return all
}

// between is the time between two answers about a user, who has the same place in
// each sweep: that between the starts of sweeps. It is also the mean of what somebody
// waits for who comes at any time, and then more often falls into a long one than
// into a short one: half of the sum of squares over the sum.
func between(starts []time.Duration) (span Span, wait time.Duration) {
	var sum, squares float64
	for _, s := range starts {
		sum += s.Seconds()
		squares += s.Seconds() * s.Seconds()
	}
	span = Span{Mean: seconds(sum / float64(len(starts))), Worst: slices.Max(starts)}
	return span, seconds(squares / (2 * sum))
}

// seconds is a duration, of a hundred years at the most.
func seconds(s float64) time.Duration {
	return time.Duration(min(s, 100*365.25*24*3600) * float64(time.Second))
}
