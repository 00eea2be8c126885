package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
)

// plausible has mass changes asked about again.
const plausible = "POLLER_PLAUSIBILITY_MAX_OFFLINE_SHARE=0.3"

// playMassFault lets the simulated ZIM say for some seconds that everybody has gone.
func playMassFault(t *testing.T, sheet *sheet) {
	playFault(t, sheet, "mass fault", "mass-fault.svg", "gone:1", inFull(3*time.Second, 10*time.Second))
}

// playPartFault lets it say so in most answers, and not in others.
func playPartFault(t *testing.T, sheet *sheet) {
	playFault(t, sheet, "fault in a part of the answers", "", "lost:1@0.8", inFull(3*time.Second, 10*time.Second))
}

// playFault has ZIM lie, and some users really go meanwhile: these are told, nobody
// else is, and there is one incident.
func playFault(t *testing.T, sheet *sheet, name, file, fault string, length time.Duration) {
	s := newTrial(t, inFull(400, 1500), plausible, "POLLER_SCHEDULE=@every "+inFull("1s", "2s"))
	lead := inFull(time.Duration(0), 15*time.Second)
	held := series{name: "users held back", colour: orange, steps: true}
	look := func() {
		held.points = append(held.points, point{s.seconds(time.Now()), s.metric(s.daemon, "poller_incident_users")})
	}
	s.looking(lead, look)
	s.fault(fault)
	began := time.Now()
	s.looking(length, look)
	gone := s.online()[:5]
	s.turn(gone, zimsim.Timeout)
	s.fault("")
	ended := time.Now()
	s.until("the end of the incident", func() bool {
		look()
		return len(s.ear.told("incident", "outcome", "discarded")) > 0
	})
	s.looking(lead, look)
	s.settle()
	lies := s.zim.Stats().Faults
	incidents := s.ear.told("incident", "outcome", "discarded")
	released := s.ear.told("incident", "outcome", "released")
	counted := s.metric(s.daemon, `poller_incidents_total{outcome="discarded"}`)
	s.prove()
	sheet.figure(t, name, "answers that lied, flips held back", fmt.Sprintf("%d, %d", lies["gone"]+lies["lost"], incidents[0].number("flips")),
		"over 50 flips", incidents[0].number("flips") >= 50)
	sheet.figure(t, name, "false events", fmt.Sprint(len(s.news())-len(gone)), "0", len(s.news()) == len(gone))
	want, steady := "1, 0, 1", !strings.Contains(fault, "@") // a truth in between ends an incident
	if !steady {
		want = "some, 0, as many"
	}
	sheet.figure(t, name, "incidents discarded, released, and discarded as counted", fmt.Sprintf("%d, %d, %.0f", len(incidents), len(released), counted),
		want, len(released) == 0 && int(counted) == len(incidents) && (len(incidents) == 1 || !steady))
	for _, h := range s.news() {
		if !slices.Contains(gone, h.user) || h.kind != "offline" {
			t.Errorf("%s is said to have gone %s", h.user, h.kind)
		}
	}
	if file == "" {
		return
	}
	took := incidents[0].at.Sub(began)
	sheet.figure(t, name, "from the first lie to the end of the incident", took.Round(100*time.Millisecond).String(), "told", true)
	p := plot{
		file: file, title: "ZIM says of everybody that they have gone, and it is not so", x: "seconds", y: "users",
		series: []series{held, adds(s.news(), s, "events told", blue)}, bands: []band{{s.seconds(began), s.seconds(ended), "ZIM errs"}},
	}
	p.write(t, *scenariosDocs)
}

// playLogout has a share of all users really leave at once.
func playLogout(t *testing.T, sheet *sheet, share float64) {
	name := fmt.Sprintf("mass logout of %.0f %%", 100*share)
	patience := inFull("3s", "30s") // what it costs where nobody is left to ask about
	s := newTrial(t, inFull(400, 1500), plausible, "POLLER_PLAUSIBILITY_PATIENCE="+patience, "POLLER_SCHEDULE=@every "+inFull("1s", "2s"))
	s.lasts(inFull(time.Duration(0), 15*time.Second))
	online := s.online()
	gone := online[:int(share*float64(len(online)))]
	left := s.turn(gone, zimsim.LoggedOut)
	s.until("everybody who left is told", func() bool { return len(s.news()) >= len(gone) })
	s.lasts(inFull(time.Duration(0), 10*time.Second))
	s.settle()
	delays := s.delays("offline", gone)
	released, discarded := s.ear.told("incident", "outcome", "released"), s.ear.told("incident", "outcome", "discarded")
	s.prove()
	sheet.figure(t, name, "events, of so many who left", fmt.Sprintf("%d of %d", len(delays), len(gone)), "all", len(delays) == len(gone) && len(s.news()) == len(gone))
	sheet.figure(t, name, "incidents released, discarded", fmt.Sprintf("%d, %d", len(released), len(discarded)), "at least 1, 0", len(released) > 0 && len(discarded) == 0)
	limit := inFull(slowMachine, map[bool]time.Duration{false: 15 * time.Second, true: 45 * time.Second}[share == 1])
	worst := delays[len(delays)-1]
	sheet.figure(t, name, "from logout to event, half and worst", fmt.Sprintf("%s, %s", quantile(delays, 0.5), worst.Round(10*time.Millisecond)),
		"at most "+limit.String(), worst <= limit)
	p := plot{
		file: fmt.Sprintf("mass-logout-%.0f.svg", 100*share), title: fmt.Sprintf("%.0f %% of all users really leave at once", 100*share), x: "seconds", y: "users",
		series: []series{
			{name: "have left", colour: grey, steps: true, points: []point{{0, 0}, {s.seconds(left), float64(len(gone))}, {s.seconds(time.Now()), float64(len(gone))}}},
			adds(s.news(), s, "are told to have left", blue),
		},
	}
	p.write(t, *scenariosDocs)
}

// slowMachine is the bound where nothing is measured: the machine may be slow.
const slowMachine = 2 * time.Minute

// adds adds up events over time.
func adds(news []tiding, s *trial, name, colour string) series {
	line := series{name: name, colour: colour, steps: true, points: []point{{0, 0}}}
	for i, h := range news {
		line.points = append(line.points, point{s.seconds(h.at), float64(i + 1)})
	}
	line.points = append(line.points, point{s.seconds(time.Now()), float64(len(news))})
	return line
}
