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

// dueGaps are the times between the due times of a schedule that come behind now; one is enough where all are equal.
func dueGaps(spec string, now time.Time) ([]time.Duration, error) {
	schedule, err := poll.ParseSchedule(spec)
	if err != nil {
		return nil, usageError{err}
	}
	var gaps []time.Duration
	even := true
	at := schedule.Next(now)
	for len(gaps) < mostDue && (len(gaps) < leastDue || at.Sub(now) < lookAhead) {
		next := schedule.Next(at)
		if next.IsZero() { // there is no further such date
			break
		}
		gaps = append(gaps, next.Sub(at))
		even = even && gaps[0] == next.Sub(at)
		at = next
	}
	if len(gaps) == 0 {
		return []time.Duration{lookAhead}, nil
	}
	if even {
		gaps = gaps[:1]
	}
	return gaps, nil
}
