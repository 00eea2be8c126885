package budget

import (
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A server that halves what it takes in the middle of a run, and takes everything
// again later: the working rate is near what it takes within seconds, and stays
// there without swinging; and it is back within half a minute.
func TestHalvedInTheMiddle(t *testing.T) {
	const (
		setting, takes = 20, 10
		whole          = time.Minute
		halved         = 5 * time.Minute
		back           = time.Minute
	)
	for _, trip := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			s, l, start := &strict{limit: setting}, New(setting, nil), time.Now()
			var rates []float64 // by the second
			var watching sync.WaitGroup
			watching.Go(func() {
				for time.Since(start) < whole+halved+back {
					rates = append(rates, l.Rate())
					time.Sleep(time.Second)
				}
			})
			s.keepAsking(t, l, trip, whole)
			s.setLimit(takes)
			s.keepAsking(t, l, trip, halved)
			s.setLimit(setting)
			s.keepAsking(t, l, trip, back)
			watching.Wait()

			from, to := int(whole.Seconds()), int((whole + halved).Seconds())
			settled := from
			for i := from; i < to; i++ {
				if rates[i] < 0.75*takes || rates[i] > 1.1*takes {
					settled = i + 1
				}
			}
			least, most := math.Inf(1), 0.
			for _, r := range rates[settled:to] {
				least, most = min(least, r), max(most, r)
			}
			restored := to
			for restored < len(rates) && rates[restored] < setting {
				restored++
			}
			refused := between(s.refused, start.Add(time.Duration(settled)*time.Second), start.Add(whole+halved))
			t.Logf("round trip %s: settles in %d s, then %.2f to %.2f a second, %d refused; back after %d s", trip, settled-from, least, most, refused, restored-to)
			if settled-from > 15 || restored-to > 30 {
				t.Errorf("round trip %s: settled after %d s, back after %d s; want 15 and 30 at most: %.1f", trip, settled-from, restored-to, rates)
			}
			if before := between(s.refused, start, start.Add(whole)); before != 0 {
				t.Errorf("%d refused while the server took everything", before)
			}
		})
	}
}

func (s *strict) setLimit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = n
}
