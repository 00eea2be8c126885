package ledger

import "time"

// clocks is one moment by both clocks of the machine. The monotonic one stands
// still while the machine is suspended, the wall's can be set: what must not be
// believed for too long is over when either of them says so.
type clocks struct{ mono, wall time.Time }

func readClocks() clocks { return clocksAt(time.Now()) }

// clocksAt returns the moment of a time that has its monotonic reading.
func clocksAt(t time.Time) clocks { return clocks{mono: t, wall: t.Round(0)} }

// after returns the moment d later.
func (c clocks) after(d time.Duration) clocks {
	return clocks{mono: c.mono.Add(d), wall: c.wall.Add(d)}
}

// reached tells whether now has come to the moment, by either clock.
func (c clocks) reached(now clocks) bool {
	return !now.mono.Before(c.mono) || !now.wall.Before(c.wall)
}

// since returns how far now is before the moment, by the clock that is nearer.
func (c clocks) since(now clocks) time.Duration {
	return min(c.mono.Sub(now.mono), c.wall.Sub(now.wall))
}

// isZero tells whether there is no such moment.
func (c clocks) isZero() bool { return c.mono.IsZero() }
