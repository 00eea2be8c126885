package zimsim

import "time"

// clock is the server's time. Offsets are monotonic; wall times are the start's wall time plus the offset, so that
// a step of the machine's clock neither reorders nor bends the truth.
type clock struct{ zero time.Time }

func startClock() clock { return clock{time.Now()} }

func (c clock) elapsed() time.Duration { return time.Since(c.zero) }

func (c clock) at(offset time.Duration) time.Time { return c.zero.Round(0).UTC().Add(offset) }
