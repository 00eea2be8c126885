package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
)

var (
	scenariosLong = flag.Bool("scenarios", false, "the scenarios in full length, one after the other, and that of the rate: make scenarios")
	scenariosDocs = flag.String("scenarios.docs", "", "where the scenarios write their plots; empty writes none")
)

// TestScenarios does to the real daemon what bad answers, bad networks and bad days
// bring, and holds what a subscriber hears against the history of the simulated ZIM.
// The subscriber knows nothing of this project: it hears plain NATS messages and
// reads plain JSON. docs/scenarios.md explains each scenario and has the figures of
// the long ones, which "make scenarios" runs and prints.
func TestScenarios(t *testing.T) {
	if !*scenariosLong {
		t.Parallel()
	}
	figures := &sheet{}
	defer figures.print()
	for _, s := range []struct {
		name string
		play func(*testing.T, *sheet)
		long bool // only in full length
	}{
		{"flapping", playFlapping, false},
		{"mass fault", playMassFault, false},
		{"fault in a part of the answers", playPartFault, false},
		{"mass logout of 80 %", func(t *testing.T, s *sheet) { playLogout(t, s, 0.8) }, false},
		{"mass logout of all", func(t *testing.T, s *sheet) { playLogout(t, s, 1) }, false},
		{"brown-out", playBrownout, false},
		{"rate halved", playRateHalved, true},
	} {
		if s.long && !*scenariosLong {
			continue // minutes, and judged by the clock
		}
		t.Run(s.name, func(t *testing.T) {
			if !*scenariosLong {
				t.Parallel()
			}
			s.play(t, figures)
		})
	}
}

// inFull chooses between the figure of a short run and that of a long one.
func inFull[T any](short, long T) T {
	if *scenariosLong {
		return long
	}
	return short
}

// sheet gathers the figures of all scenarios, beside what they have to be.
type sheet struct {
	mu   sync.Mutex
	rows []string
}

// figure notes one figure, and fails the test when it is not what it has to be.
func (s *sheet) figure(t *testing.T, scenario, what, measured, target string, met bool) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = append(s.rows, fmt.Sprintf("| %s | %s | %s | %s |", scenario, what, measured, target))
	if !met {
		t.Errorf("%s: %s: %s, want %s", scenario, what, measured, target)
	}
}

// print prints the figures of the long scenarios as the table that stands in the docs.
func (s *sheet) print() {
	if *scenariosLong {
		fmt.Printf("| scenario | what | measured | target |\n|---|---|---:|---:|\n%s\n", strings.Join(s.rows, "\n"))
	}
}

// trial is a world with a daemon in it, a subscriber, and users whose truth is known.
type trial struct {
	*world
	t      *testing.T
	daemon *process
	ear    *ear
	users  []string
	began  time.Time
}

// newTrial starts everything, with so many users of whom four of five are online, and
// waits until all of them were told for the first time.
func newTrial(t *testing.T, users int, env ...string) *trial {
	t.Helper()
	s := &trial{world: newWorld(t, append([]string{"POLLER_HTTP_LISTEN=127.0.0.1:0", "POLLER_LOG_LEVEL=info"}, env...)...), t: t}
	states := map[string]zimsim.State{}
	for i := range users {
		id := fmt.Sprintf("user-%05d", i)
		s.users = append(s.users, id)
		if states[id] = zimsim.Online; i%5 == 4 {
			states[id] = zimsim.LoggedOut
		}
	}
	s.set(states)
	s.watch(s.users...)
	s.ear = newEar(t, s.nats.URL(), worldApp)
	s.daemon = s.start("run")
	s.until("everybody is told for the first time", func() bool { return len(s.ear.events()) == users })
	s.began = time.Now()
	return s
}

// online are the users who are online at the beginning.
func (s *trial) online() []string {
	var ids []string
	for i, id := range s.users {
		if i%5 != 4 {
			ids = append(ids, id)
		}
	}
	return ids
}

// turn makes a state visible for some users.
func (s *trial) turn(ids []string, state zimsim.State) time.Time {
	states := map[string]zimsim.State{}
	for _, id := range ids {
		states[id] = state
	}
	return s.set(states)
}

// fault sets faults, "" none.
func (s *trial) fault(text string) {
	s.t.Helper()
	s.sim.ClearFaults()
	faults, err := zimsim.ParseFaults(text)
	if err == nil {
		err = s.sim.AddFaults(faults...)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// news is what was heard behind the first telling of everybody.
func (s *trial) news() []tiding { return s.ear.events()[len(s.users):] }

// settle waits until two sweeps have seen everybody, all of that is told and nothing is held.
func (s *trial) settle() {
	s.t.Helper()
	since := time.Now()
	s.until("two sweeps that miss nobody", func() bool {
		return s.count(`select count(*) from snapshots where app_id = $1 and started >= $2 and missed_count = 0`, worldApp, since) >= 2
	})
	s.until("nothing is held", func() bool { return s.count(`select count(*) from held_changes where app_id = $1`, worldApp) == 0 })
	s.until("all is heard", func() bool {
		return len(s.ear.events()) == s.count(`select last_seq from apps where app_id = $1`, worldApp)
	})
}

// prove ends the daemon and proves that nothing false was told, nothing is missing,
// and nothing came twice or out of order.
func (s *trial) prove() {
	s.t.Helper()
	s.settle()
	s.daemon.stop()
	s.audit()
	all := s.events(0)
	s.auditIntervals(all)
	for i, h := range s.ear.events() {
		if h.seq != int64(i)+1 || i >= len(all) || h.id != all[i].id {
			s.t.Fatalf("message %d that was heard is %+v, which is not that of the stream", i, h)
		}
	}
}

// delays are, for each change of some users to a status behind the beginning, as far
// as it was told, how long after it that was heard; in order.
func (s *trial) delays(status string, users []string) (told []time.Duration) {
	news := map[string][]tiding{}
	for _, h := range s.news() {
		news[h.user] = append(news[h.user], h)
	}
	for _, c := range s.history() {
		if c.To.Status() != status || !slices.Contains(users, c.User) {
			continue
		}
		i := slices.IndexFunc(news[c.User], func(h tiding) bool {
			return h.kind == status && c.At.After(h.after) && !c.At.After(h.observedAt)
		})
		if i >= 0 {
			told = append(told, news[c.User][i].at.Sub(c.At))
		}
	}
	slices.Sort(told)
	return told
}

// history are the true changes behind the beginning.
func (s *trial) history() (changes []zimsim.Change) {
	all, dropped := s.zim.Changes(0)
	if dropped > 0 {
		s.t.Fatalf("%d changes are forgotten", dropped)
	}
	for _, c := range all {
		if c.At.After(s.began) && c.From.Status() != c.To.Status() {
			changes = append(changes, c)
		}
	}
	return changes
}

// quantile is that of durations in order, as it is written in a table.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	return d[min(len(d)-1, int(q*float64(len(d))))].Round(10 * time.Millisecond)
}

// seconds is a time of the trial, for a plot.
func (s *trial) seconds(at time.Time) float64 { return at.Sub(s.began).Seconds() }

// lasts lets the trial go on for a while.
func (s *trial) lasts(d time.Duration) { <-time.After(d) }

// looking lets it go on for a while, and looks at something four times a second.
func (s *trial) looking(d time.Duration, look func()) {
	for end := time.Now().Add(d); time.Now().Before(end); s.lasts(250 * time.Millisecond) {
		look()
	}
}
