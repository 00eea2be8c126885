package plan

import (
	"slices"
	"time"
)

// apart is how far apart the starts of sweeps are.
type apart struct {
	n            int
	sum, squares float64 // in seconds
	worst        time.Duration
}

func (a *apart) add(d time.Duration) {
	s := d.Seconds()
	a.n, a.sum, a.squares, a.worst = a.n+1, a.sum+s, a.squares+s*s, max(a.worst, d)
}

// between is the time between two answers about a user, who has the same place in
// each sweep: that between the starts of sweeps. It is also the mean of what somebody
// waits for who comes at any time, and then more often falls into a long one than
// into a short one: half of the sum of squares over the sum.
func (a apart) between() (span Span, wait time.Duration) {
	return Span{Mean: seconds(a.sum / float64(a.n)), Worst: a.worst}, seconds(a.squares / (2 * a.sum))
}

// dues are the due times of a schedule, which repeat themselves.
type dues struct {
	at    []time.Duration // of each from the first, and then that at which it begins anew
	least time.Duration   // between two
	gaps  apart
}

func newDues(gaps []time.Duration) dues {
	d := dues{at: make([]time.Duration, len(gaps)+1), least: slices.Min(gaps)}
	for i, gap := range gaps {
		d.at[i+1] = d.at[i] + gap
		d.gaps.add(gap)
	}
	return d
}

// starts is how far apart sweeps start that take so long. Who starts for a due time
// has its end looked at: where due times fell into it, the last of them starts the
// next sweep at once and the others are skipped, else the next due time does.
func (d dues) starts(sweep time.Duration) (all apart) {
	switch {
	case sweep <= d.least:
		return d.gaps // none falls into one
	case sweep >= d.gaps.worst:
		all.add(sweep) // one falls into each: back to back
		return all
	}
	round := d.at[len(d.at)-1]
	// Twice around: the second is behind where the first began on time. Starts and due
	// times are those of the round.
	for start, i, rounds := time.Duration(0), 0, 0; rounds < 2; {
		end := start + sweep
		if i++; d.at[i] < end {
			i = d.last(i, end)
		}
		began := max(d.at[i], end)
		all.add(began - start)
		start = began
		for i == len(d.at)-1 {
			start, i, rounds = start-round, 0, rounds+1
			i = d.last(i, start)
		}
	}
	return all
}

// last is the last due time up to a moment, from the ith on, which is not behind it. Most often that is near.
func (d dues) last(i int, until time.Duration) int {
	step := 1
	for ; i+step < len(d.at) && d.at[i+step] <= until; step *= 2 {
		i += step
	}
	for ; step > 0; step /= 2 {
		if i+step < len(d.at) && d.at[i+step] <= until {
			i += step
		}
	}
	return i
}

// seconds is a duration, of a hundred years at the most.
func seconds(s float64) time.Duration {
	return time.Duration(min(s, 100*365.25*24*3600) * float64(time.Second))
}
