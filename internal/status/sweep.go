package status

import (
	"time"

	"github.com/zim-presence/poller/presence"
)

// Sweep is what a sweep came to.
type Sweep struct {
	// Watched is how many users it had to ask about, Seen how many of them were
	// answered. Invalid is how many more it could not ask about because their
	// ids are illegal, and Long how many ids are longer than is usual.
	Watched, Seen, Invalid, Long int
	// RemovalsHeld is how many of Watched are gone from the watchlist, and not
	// removed yet because so many went at once.
	RemovalsHeld int
	// Missed is how many were not answered, by reason.
	Missed map[presence.MissReason]int
	// Requests is how many requests it sent, repetitions included, and Invented
	// how many users were answered who had not been asked about.
	Requests, Invented int
	Elapsed            time.Duration
	// Finished is when it ended.
	Finished time.Time
	// Complete tells that everybody was asked about, answered or not; a sweep
	// that is not was broken off.
	Complete bool
}

// SweepStarted counts a sweep that has just begun, about so many users.
func (a *App) SweepStarted(watched int) {
	a.started.Inc()
	a.running.Set(1)
	a.watched.Set(float64(watched))
}

// SweepEnded counts a sweep that has ended, in whichever way.
func (a *App) SweepEnded(s Sweep) {
	a.running.Set(0)
	a.watched.Set(float64(s.Watched))
	a.invalid.Set(float64(s.Invalid))
	a.long.Set(float64(s.Long))
	a.sweepRequests.Set(float64(s.Requests))
	add(a.seen, s.Seen)
	add(a.invented, s.Invented)
	add(a.heldUsers, s.RemovalsHeld)
	for reason, n := range s.Missed {
		add(a.missed.of(string(reason)), n)
	}
	a.sweep.Observe(s.Elapsed.Seconds())
	if !s.Complete {
		a.broken.Inc()
		return
	}
	a.completed.Inc()
	a.coverage.Set(1)
	if s.Watched > 0 {
		a.coverage.Set(float64(s.Seen) / float64(s.Watched))
	}
	if s.Seen > 0 || s.Watched == 0 { // else nothing is known that was not known before
		a.complete.Set(float64(s.Finished.UnixMilli()) / 1000)
	}
}

// SetInterval says how far sweeps are apart by the schedule.
func (a *App) SetInterval(d time.Duration) { a.interval.Set(d.Seconds()) }

// SweepsSkipped counts n due times for which no sweep was begun.
func (a *App) SweepsSkipped(n int) { add(a.skipped, n) }
