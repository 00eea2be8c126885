package plan

import (
	"math"
	"strings"
	"time"
)

// What the other rooms do, and is not configured.
const (
	guard       = 15 * time.Millisecond // behind each second, internal/budget
	maxQuery    = 7 << 10               // bytes of ids in a request, internal/zim
	maxInFlight = 256                   // requests, internal/zim
	lead        = 2                     // requests of the sweep before one that asks again, internal/zim
	gather      = 250 * time.Millisecond
	atOnce      = 100 // users asked again with one call, as gather in internal/poll
)

// batch is how many ids go into a request: as many as are allowed, and fewer where
// they would take more than the bytes that a gateway takes.
func (w Want) batch() int {
	if w.IDBytes <= 0 {
		return w.Batch
	}
	return max(1, min(w.Batch, int(maxQuery/w.IDBytes)))
}

// IDBytes is how many bytes an id takes in a request: its key, and three for each byte
// that a URL wants encoded.
func IDBytes(id []byte) int {
	n := len("&UserId%5B%5D=")
	for _, ch := range id {
		if 'a' <= ch && ch <= 'z' || 'A' <= ch && ch <= 'Z' || '0' <= ch && ch <= '9' || strings.IndexByte("-._~", ch) >= 0 {
			n++
		} else {
			n += 3
		}
	}
	return n
}

// window is the time in which at most limit requests go: no second may hold more,
// and a guard comes on top, since requests do not travel equally fast. A rate is cut
// to a whole number; one under 1 is one request in so many seconds.
func (w Want) window() (limit int, window time.Duration) {
	if w.Rate < 1 {
		return 1, time.Duration(float64(time.Second)/w.Rate) + guard
	}
	return int(w.Rate), time.Second + guard
}

// slot is the mean time between two requests of a budget that is used up: a window
// over its limit. Where answers take so long that no more may be in flight, the next
// request waits for one of them, so it is the latency over their number.
func (w Want) slot() time.Duration {
	limit, window := w.window()
	inFlight := max(lead, min(maxInFlight, math.Ceil(w.Rate*w.Timeout.Seconds())))
	return max(window/time.Duration(limit), time.Duration(float64(w.Latency)/inFlight))
}

// asking is from the first of n requests to the last answer. The first waits for
// nothing, the others are a slot apart, and the last takes its latency.
func (w Want) asking(n float64) time.Duration {
	if n <= 0 {
		return 0
	}
	return seconds(max(0, n-1)*w.slot().Seconds()) + w.Latency
}

// cycle is the least time from one sweep of n requests to the next: the asking, or
// its slots where those are longer, since both sweeps spend the same budget.
func (w Want) cycle(n float64) time.Duration {
	return max(w.asking(n), seconds(n*w.slot().Seconds()))
}
