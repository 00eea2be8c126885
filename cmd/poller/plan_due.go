package main

import (
	"time"

	"github.com/zim-presence/poller/internal/poll"
)

// How far ahead the due times are looked at: a week has in it what repeats itself by days and weekdays, also where it is
// due every second.
const (
	lookAhead = 7 * day
	mostDue   = 700_000
	leastDue  = 4 // of schedules that are hardly ever due
)

// dueGaps are the times between the due times of a schedule that come behind now; once is enough of what repeats itself.
func dueGaps(spec string, now time.Time) ([]time.Duration, error) {
	schedule, err := poll.ParseSchedule(spec)
	if err != nil {
		return nil, usageError{err}
	}
	var gaps []time.Duration
	first, longest := schedule.Next(now), time.Duration(0)
	at := first // a week from here on is a whole one
	for len(gaps) < mostDue && (at.Sub(first) < lookAhead || longest > lookAhead && len(gaps) < leastDue) {
		next := schedule.Next(at)
		if next.IsZero() { // there is no further such date
			break
		}
		gaps = append(gaps, next.Sub(at))
		longest = max(longest, next.Sub(at))
		at = next
	}
	if len(gaps) == 0 {
		return []time.Duration{lookAhead}, nil
	}
	return gaps[:period(gaps)], nil
}

// period is how many of the gaps are repeated, some times and nothing else, which makes them all.
func period(gaps []time.Duration) int {
	// Of each beginning, how long the longest shorter beginning is with which it ends too.
	same := make([]int, len(gaps))
	for i := 1; i < len(gaps); i++ {
		n := same[i-1]
		for n > 0 && gaps[i] != gaps[n] {
			n = same[n-1]
		}
		if gaps[i] == gaps[n] {
			n++
		}
		same[i] = n
	}
	if n := len(gaps) - same[len(gaps)-1]; len(gaps)%n == 0 {
		return n
	}
	return len(gaps)
}
