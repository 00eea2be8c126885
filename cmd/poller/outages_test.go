package main

import (
	"cmp"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/page"
)

var (
	outagesLong = flag.Bool("outages", false, "every outage, with a real Prometheus and the alert rules: make outages")
	outagesDocs = flag.String("outages.docs", "", "the file into which the table of outages is written; empty writes none")
	outagesSeen = flag.String("outages.pictures", "", "the directory into which pictures of the page in each outage are written; empty writes none")
)

// seen has a mishap happen, follows it to where it shows, and returns the check that was
// red, and how long that took.
func (s *theatre) seen(m mishap) (red readyCheck, took time.Duration) {
	s.t.Helper()
	before, began := s.series(), time.Now()
	m.happen(s)
	if m.check != "" {
		for pause := time.Now(); ; <-time.After(20 * time.Millisecond) {
			if red = s.look(m.check); red.Error != "" && !red.OK && strings.Contains(red.Error, m.says) {
				break
			}
			if time.Since(pause) > patience {
				s.t.Fatalf("%s: %s says %q, want %q in it", m.what, m.check, red.Error, m.says)
			}
		}
		took = time.Since(began)
		if !strings.Contains(red.Mend, m.mend) || m.mend == "" {
			s.t.Errorf("%s: the mend is %q, want %q in it", m.what, red.Mend, m.mend)
		}
	}
	if !m.ends {
		s.onPage(m, red)
	}
	for _, words := range m.metrics {
		s.moved(words, before)
	}
	if m.check == "" && !m.ends && !m.heals {
		s.green(m)
	}
	return red, took
}

// green holds that all checks are.
func (s *theatre) green(m mishap) {
	s.t.Helper()
	var answer struct{ Checks []readyCheck }
	if err := s.get("/readyz", &answer); err != nil {
		s.t.Fatal(err)
	}
	for _, c := range answer.Checks {
		if !c.OK {
			s.t.Errorf("%s: %s is red: %s", m.what, c.Name, c.Error)
		}
	}
}

// onPage waits until the page shows it: the check, its mend, and what else there is.
func (s *theatre) onPage(m mishap, red readyCheck) {
	s.t.Helper()
	s.until("the page shows "+m.what, func() bool {
		var b page.Board
		if s.get("/api/board", &b) != nil || m.shows != nil && !m.shows(b) {
			return false
		}
		for _, c := range b.Checks {
			if c.Name == m.check && !c.OK && c.Mend != "" {
				return true
			}
		}
		return m.check == "" || m.check == fmt.Sprintf("watchlist/%d", uint32(worldApp)) // which is red for a moment
	})
}

// TestOutages lets the world of a real daemon go wrong in one way after the other, and
// follows each to the check that turns red, its mend, the page and the metrics; "make
// outages" does so with all of them, and a real Prometheus with the alert rules, and
// writes docs/outages.md. How long each takes to be seen is logged, and judged there
// alone: ten seconds, but for what means a minute.
func TestOutages(t *testing.T) {
	if !*outagesLong {
		t.Parallel()
	}
	s := newTheatre(t)
	var p *prometheus
	if *outagesLong {
		for _, program := range []string{"nats", "psql", "curl", "script"} {
			if _, err := exec.LookPath(program); err != nil {
				t.Fatal("make outages follows the runbook, which wants: ", err)
			}
		}
		p = newPrometheus(t, strings.TrimPrefix(s.base, "http://"))
		s.alarms = p
	}
	var table outageTable
	for _, m := range mishaps() {
		if !m.short && !*outagesLong {
			continue
		}
		t.Run(m.what, func(t *testing.T) {
			defer func() { s.world.t = s.whole }()
			s.world.t = t
			table.add(m, s.follow(m, p))
		})
	}
	table.write(t, *outagesDocs, len(mishaps()))
}

// follow has a mishap happen and end, and returns how long it took until it was red.
func (s *theatre) follow(m mishap, p *prometheus) time.Duration {
	s.t.Helper()
	if p == nil {
		_, took := s.seen(m)
		m.over(s)
		s.untilReady(s.daemon)
		return took
	}
	s.until("earlier alerts are over", func() bool { return !p.active(m.alerts) })
	began := time.Now()
	red, took := s.seen(m)
	fired := p.fire(s.t, began, m.alerts)
	s.t.Logf("%s red after %.2f s, alerts %v", m.check, took.Seconds(), fired)
	most := 10 * time.Second
	if m.asked {
		most += 2 * time.Second // the schedule: nothing shows before a request
	}
	if took > most && !m.minute {
		s.t.Errorf("%s was red after %s, want %s at the most", m.check, took, most)
	}
	s.night(m, p, red)
	s.untilReady(s.daemon)
	return took
}

// picture takes one of the page, wide and light, and one as on a phone at night.
func (s *theatre) picture(m mishap) {
	s.t.Helper()
	if *outagesSeen == "" {
		return
	}
	name := regexp.MustCompile(`[^a-z]+`).ReplaceAllString(strings.ToLower(m.what), "-")
	_, app, _ := strings.Cut(m.check, "/")
	app = cmp.Or(app, fmt.Sprint(s.appID))
	for _, look := range [][]string{{"-width", "1200", "-theme", "light"}, {"-width", "360", "-theme", "dark"}} {
		to, err := filepath.Abs(filepath.Join(*outagesSeen, name+"-"+look[3]+".png"))
		if err != nil {
			s.t.Fatal(err)
		}
		args := append([]string{"-C", "../../browser", "run", "./cmd/picture", "-full"}, look...)
		if out, err := exec.Command("go", append(args, s.base+"/#/app/"+app, to)...).CombinedOutput(); err != nil {
			s.t.Errorf("no picture of %s: %v\n%s", m.what, err, out)
		}
	}
}
