package replay

import (
	"math"
	"time"
)

// portions is how many parts of a second's messages are told one after the other.
const portions = 50

// pace spreads messages evenly over time.
type pace struct {
	rate float64 // a second; 0 for no limit
	due  time.Time
}

// portion is how many of n messages may be told at once.
func (p *pace) portion(n int) int {
	if p.rate <= 0 {
		return n
	}
	return max(1, min(n, int(math.Ceil(p.rate/portions))))
}

// next is when the next n messages may be told. What was held up is not made good
// by a burst.
func (p *pace) next(n int) time.Time {
	if p.rate <= 0 {
		return time.Time{}
	}
	now := time.Now()
	at := p.due
	if at.Before(now) {
		at = now
	}
	p.due = at.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
	return at
}
