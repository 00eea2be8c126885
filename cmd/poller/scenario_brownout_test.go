package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
)

// brownout has every second request fail, in one way or another.
const brownout = "http:503@0.2,hang@0.1,code:1@0.12,html@0.1,cut_body@0.15"

// playBrownout lets users come and go while every second request fails.
func playBrownout(t *testing.T, sheet *sheet) {
	const name = "brown-out"
	s := newTrial(t, inFull(300, 1500), "POLLER_ZIM_TIMEOUT=300ms", "POLLER_SCHEDULE=@every "+inFull("1s", "2s"))
	lead, length := inFull(time.Duration(0), 15*time.Second), inFull(4*time.Second, time.Minute)
	s.lasts(lead)
	s.fault(brownout)
	before := s.zim.Stats()
	began := time.Now()
	for round := 0; time.Since(began) < length; round++ {
		changed := map[string]zimsim.State{}
		for i := range len(s.users) / 100 {
			id := s.users[(round*37+i*11)%len(s.users)]
			changed[id] = zimsim.State((round + i) % 3)
		}
		s.set(changed)
		s.lasts(200 * time.Millisecond)
	}
	stats := s.zim.Stats()
	s.fault("")
	ended := time.Now()
	s.lasts(lead)
	s.settle()
	struck, asked := 0, int(stats.Arrivals-before.Arrivals)
	for kind, n := range stats.Faults {
		struck += int(n - before.Faults[kind])
	}
	sweeps := s.ear.told("sweep", "phase", "finished")
	coverage := series{name: "share of users that a sweep has seen, %", colour: blue, steps: true}
	least, silent, sum, within := 100.0, 0, 0.0, 0.0
	for _, c := range sweeps {
		seen := 100 * float64(c.number("seen")) / float64(c.number("watched"))
		coverage.points = append(coverage.points, point{s.seconds(c.at), seen})
		if c.number("seen")+c.number("missed") != c.number("watched") {
			silent++
		}
		if c.at.After(began) && c.at.Before(ended) {
			least, sum, within = min(least, seen), sum+seen, within+1
		}
	}
	s.prove() // no false event, and everybody as they are
	news := len(s.news())
	sheet.figure(t, name, "requests that failed", fmt.Sprintf("%d of %d (%.0f %%)", struck, asked, 100*float64(struck)/float64(asked)), "about half", struck*3 > asked)
	sheet.figure(t, name, "events, of them false", fmt.Sprintf("%d, 0", news), "0 false", news > 0) // prove has looked at each
	sheet.figure(t, name, "users seen by a sweep, as told by control events: mean, least", fmt.Sprintf("%.0f %%, %.0f %%", sum/within, least), "told", within > 0)
	sheet.figure(t, name, "sweeps that tell neither seen nor missed of somebody", fmt.Sprint(silent), "0", silent == 0)
	p := plot{
		file: "brown-out.svg", title: "Every second request fails for a minute", x: "seconds", y: "%",
		series: []series{coverage}, bands: []band{{s.seconds(began), s.seconds(ended), "every second request fails"}},
	}
	p.write(t, *scenariosDocs)
}
