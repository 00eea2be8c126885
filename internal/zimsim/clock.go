package zimsim

import "time"

// clock is the server's time. Offsets are monotonic; wall times are the start's wall time plus the offset, so that
// a step of the machine's clock neither reorders nor bends the truth.
type clock struct{ zero time.Time }

func startClock() clock { return clock{time.Now()} }

func (c clock) elapsed() time.Duration { return time.Since(c.zero) }

func (c clock) at(offset time.Duration) time.Time { return c.zero.Round(0).UTC().Add(offset) }

// since is the offset of what happened when the machine's clock showed then: now where that is in the future, or
// more than a minute ago, because the machine's clock was set meanwhile.
func (c clock) since(then time.Time) time.Duration {
	offset, wall := together(c.elapsed, time.Now)
	ago := wall.Round(0).Sub(then.Round(0))
	if ago < 0 || ago > time.Minute {
		return offset
	}
	return max(0, offset-ago)
}

const (
	oneMoment   = 100 * time.Microsecond
	mostReading = 50
)

// together reads two clocks at one moment. A crowded machine may run others between two readings, for as long as
// many milliseconds: so one clock is read before and after the other, again and again until these are close.
func together(clock func() time.Duration, other func() time.Time) (offset time.Duration, at time.Time) {
	closest := time.Duration(-1)
	for range mostReading {
		before := clock()
		between := other()
		took := clock() - before
		if closest < 0 || took < closest {
			closest, offset, at = took, before, between
		}
		if closest <= oneMoment {
			break
		}
	}
	return offset, at
}
