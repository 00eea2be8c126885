package budget_test

import (
	"testing"
	"time"
)

// Nor when the rate is changed in the middle of a call, of which requests are under
// way all the time: behind each change the new limit counts, and what was sent before
// it with it.
func TestNoSlidingSecondOverTheLimitWhenTheRateChanges(t *testing.T) {
	p := newPoller(t, "http:503@0.05,slow:200ms@0.2")
	type phase struct{ limit, from, until int } // in requests
	phases := []phase{{limit: rate}}
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		p.ask(t, 100_000, 8*time.Second)
	}()
	for _, next := range []struct {
		limit int
		after time.Duration
	}{{5, 1200 * time.Millisecond}, {20, 2 * time.Second}, {3, 1500 * time.Millisecond}, {12, 1500 * time.Millisecond}, {20, 300 * time.Millisecond}} {
		<-time.After(next.after)
		phases[len(phases)-1].until = int(p.limit.Spent())
		p.limit.SetRate(float64(next.limit))
		phases = append(phases, phase{limit: next.limit, from: int(p.limit.Spent())})
	}
	<-asked
	stats := p.check(t, rate)
	var arrivals struct {
		Offsets []time.Duration `json:"offsets_ns"`
	}
	p.books(t, "/arrivals?since=0", &arrivals)
	phases[len(phases)-1].until = len(arrivals.Offsets)
	for _, ph := range phases {
		full := 0
		for i := max(ph.from, ph.limit); i < min(ph.until, len(arrivals.Offsets)); i++ {
			gap := arrivals.Offsets[i] - arrivals.Offsets[i-ph.limit]
			if gap < time.Second {
				full++
			}
			if gap < 950*time.Millisecond {
				t.Errorf("%d requests in %s at the server, the limit is %d in a second by then", ph.limit+1, gap, ph.limit)
			}
		}
		if full > 1+(ph.until-ph.from)/100 {
			t.Errorf("%d of %d seconds at the server are over the limit of %d", full, ph.until-ph.from, ph.limit)
		}
		t.Logf("limit %d: requests %d to %d of %d", ph.limit, ph.from, ph.until, stats.Arrivals)
	}
}
