package presence

import "time"

// Instant cuts t to the form in which every time of the program is born: UTC,
// whole microseconds, no monotonic reading. The zero time stays zero.
func Instant(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}
