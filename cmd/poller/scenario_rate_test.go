package main

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// The rate that the simulated ZIM takes over time: twenty a second, half of it while
// the daemon still believes in twenty, and twenty again.
const (
	halvedAt   = 30 * time.Second
	restoredAt = 120 * time.Second
	rateEnds   = 230 * time.Second
)

// playRateHalved keeps the daemon asking all the time and halves what ZIM takes.
func playRateHalved(t *testing.T, sheet *sheet) {
	s := newTrial(t, 4000, "POLLER_SCHEDULE=@every 1s")
	refused := s.watchRefusals(t)
	s.lasts(time.Until(s.began.Add(halvedAt)))
	s.zim.SetRate(10)
	s.lasts(time.Until(s.began.Add(restoredAt)))
	s.zim.SetRate(20)
	s.lasts(time.Until(s.began.Add(rateEnds)))
	refusals := refused()
	arrivals := s.arrivals()
	s.prove()

	in := func(times []time.Duration, from, to time.Duration) (n int) {
		for _, at := range times {
			if from <= at && at < to {
				n++
			}
		}
		return n
	}
	const calm = 10 * time.Second // by then it is to have settled
	first := in(refusals, halvedAt, halvedAt+calm)
	later := in(refusals, halvedAt+calm, restoredAt)
	asked := in(arrivals, halvedAt+calm, restoredAt)
	sheet.figure(t, "rate halved", "refusals in the first 10 s", fmt.Sprint(first), "at most 40", first <= 40)
	sheet.figure(t, "rate halved", "time until the last second with more than one refusal", settled(refusals).Round(100*time.Millisecond).String(), "at most 5 s", settled(refusals) <= 5*time.Second)
	share := float64(later) / float64(asked)
	sheet.figure(t, "rate halved", "refused of what was asked behind that", fmt.Sprintf("%.1f %%", 100*share), "at most 3 %", share <= 0.03)
	least, most := windows(arrivals, halvedAt+calm, restoredAt)
	sheet.figure(t, "rate halved", "requests a second meanwhile, any five seconds", fmt.Sprintf("%.1f to %.1f", least, most), "7 to 11", least >= 7 && most <= 11)
	mean := float64(asked-later) / (restoredAt - halvedAt - calm).Seconds()
	sheet.figure(t, "rate halved", "of the ten a second that it takes, used", fmt.Sprintf("%.0f %%", 10*mean), "at least 85 %", mean >= 8.5)
	back := regained(arrivals)
	sheet.figure(t, "rate halved", "time until 19 a second again, over five seconds", back.Round(time.Second).String(), "at most 90 s", back <= 90*time.Second)
	p := plot{
		file: "rate-halved.svg", title: "ZIM takes half of the requests for 90 seconds", x: "seconds", y: "a second",
		series: []series{
			{name: "ZIM takes", colour: grey, steps: true, points: []point{
				{0, 20}, {halvedAt.Seconds(), 10}, {restoredAt.Seconds(), 20}, {rateEnds.Seconds(), 20}}},
			{name: "requests that arrive", colour: blue, steps: true, points: perSecond(arrivals, rateEnds)},
			{name: "of these refused", colour: orange, steps: true, points: perSecond(refusals, rateEnds)},
		},
	}
	p.write(t, *scenariosDocs)
}

// arrivals are the times of requests at the server, from the beginning of the trial.
func (s *trial) arrivals() (times []time.Duration) {
	offsets, first := s.zim.Arrivals(0)
	stats := s.zim.Stats()
	if first != 0 || len(offsets) == 0 {
		s.t.Fatalf("%d arrivals are forgotten, %d are known", first, len(offsets))
	}
	for _, at := range offsets {
		if at := at - offsets[0] - s.began.Sub(stats.First); at >= 0 {
			times = append(times, at)
		}
	}
	return times
}

// watchRefusals notes when requests are refused for haste, to a tenth of a second.
func (s *trial) watchRefusals(t *testing.T) (stop func() []time.Duration) {
	over, seen := make(chan struct{}), uint64(0)
	var times []time.Duration
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case at := <-tick.C:
				all := uint64(0)
				for _, n := range s.zim.Stats().Refused {
					all += n
				}
				for ; seen < all; seen++ {
					times = append(times, at.Sub(s.began))
				}
			}
		}
	})
	end := sync.OnceFunc(func() { close(over); running.Wait() })
	t.Cleanup(end)
	return func() []time.Duration { end(); return times }
}

// settled is how long after the halving there were two refusals within a second for
// the last time before the rate is given back.
func settled(refusals []time.Duration) (last time.Duration) {
	for i := range refusals[min(1, len(refusals)):] {
		if refusals[i+1]-refusals[i] < time.Second && refusals[i+1] < restoredAt {
			last = refusals[i+1] - halvedAt
		}
	}
	return last
}

// windows are the fewest and the most requests a second in any five seconds.
func windows(times []time.Duration, from, to time.Duration) (least, most float64) {
	const window = 5 * time.Second
	least = 1e9
	for at := from; at+window <= to; at += 250 * time.Millisecond {
		low, _ := slices.BinarySearch(times, at)
		high, _ := slices.BinarySearch(times, at+window)
		rate := float64(high-low) / window.Seconds()
		least, most = min(least, rate), max(most, rate)
	}
	return least, most
}

// regained is how long after the rate was given back nineteen a second were asked again.
func regained(times []time.Duration) time.Duration {
	for at := restoredAt; at+5*time.Second <= rateEnds; at += 250 * time.Millisecond {
		if _, most := windows(times, at, at+5*time.Second); most >= 19 {
			return at + 5*time.Second - restoredAt
		}
	}
	return rateEnds
}

// perSecond counts times by the second.
func perSecond(times []time.Duration, end time.Duration) []point {
	points := make([]point, int(end.Seconds()))
	for i := range points {
		points[i].x = float64(i)
	}
	for _, at := range times {
		if i := int(at.Seconds()); at >= 0 && i < len(points) {
			points[i].y++
		}
	}
	return points
}
