package main

import (
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// Every fault of the simulated ZIM, for several sweeps: nobody is called
// anything because of it, who has no answer is counted, and when it is over the
// program goes on by itself.
func TestFaultsMakeNoEvents(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault  string
		misses bool // somebody is missed in each sweep
		stops  bool // the app stops asking, so no sweep is complete
	}{
		{"http:503", true, false}, {"http:400", true, false}, {"http:429", true, false}, {"hang", true, false},
		{"cut_headers", true, false}, {"cut_body", true, false}, {"html", true, false}, {"truncated", true, false},
		{"code:1", true, false}, {"code:7", true, false}, {"code:660300005", true, false}, {"code:2", true, false},
		{"code:100000004", true, false}, {"code:100000003", true, false}, {"code:987654321", true, false},
		{"code:100000005", true, true}, {"code:100000017", true, true},
		{"empty", true, false}, {"partial:0.3", true, false}, {"unknown_status:0.3", true, false}, {"both_lists:0.3", true, false},
		{"contradictory:0.3", true, false}, {"invented:0.3", false, false}, {"twice:0.3", false, false},
		{"lower_case", false, false}, {"slow:50ms", false, false}, {"slow_answer:50ms", false, false}, {"kill_keepalive@0.5", false, false},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "POLLER_ZIM_TIMEOUT=300ms")
			users := population(100) // one batch: with more the breaker would hold up the sweeps
			w.set(users)
			w.watch(keys(users)...)
			daemon := w.start("run")
			w.newEvents(0, len(users))

			faults, err := zimsim.ParseFaults(c.fault)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.sim.AddFaults(faults...); err != nil {
				t.Fatal(err)
			}
			since, swept := time.Now(), daemon.logged("sweep ended")
			w.until("three sweeps with the fault", func() bool { return daemon.logged("sweep ended") >= swept+4 })
			if n := len(w.events(len(users))); n != 0 {
				t.Errorf("%d events because of the fault, want none", n)
			}
			w.checkMisses(since, c.misses, c.stops)

			w.sim.ClearFaults()
			for id, state := range users {
				if state == zimsim.Online {
					w.set(map[string]zimsim.State{id: zimsim.LoggedOut})
					w.until("the recovery", func() bool { return len(w.events(len(users))) > 0 })
					if e := w.events(len(users))[0]; e.User.ID != id || e.Kind != presence.KindOffline {
						t.Errorf("after the fault: %s, want that %q went offline", e.data, id)
					}
					break
				}
			}
			w.sweeps(1)
			daemon.stop()
			w.audit()
			w.auditIntervals(w.events(0))
		})
	}
}

// checkMisses looks at what the sweeps since then have stored.
func (w *world) checkMisses(since time.Time, misses, stops bool) {
	w.t.Helper()
	stored := w.count(`select count(*) from snapshots where app_id = $1 and started >= $2`, worldApp, since)
	without := w.count(`select count(*) from snapshots where app_id = $1 and started >= $2 and missed_count = 0`, worldApp, since)
	odd := w.count(`select count(*) from snapshots where app_id = $1 and seen + missed_count <> watched`, worldApp)
	switch {
	case odd != 0:
		w.t.Errorf("%d sweeps in which somebody was neither seen nor missed", odd)
	case stops && stored != 0:
		w.t.Errorf("%d sweeps count as complete though the app was stopped", stored)
	case !stops && stored < 3:
		w.t.Errorf("%d complete sweeps with the fault, want three", stored)
	case misses && without != 0, !misses && without != stored:
		w.t.Errorf("of %d sweeps with the fault %d missed nobody, want %s", stored, without, map[bool]string{true: "none", false: "all"}[misses])
	}
}

// A fault that comes and goes: what it leaves of the truth is told, and no more.
func TestFaultsThatComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_ZIM_TIMEOUT=300ms")
	users := population(300)
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")
	w.newEvents(0, len(users))
	faults, err := zimsim.ParseFaults("http:503@0.1,hang@0.05,cut_body@0.1,html@0.1,code:660300005@0.1,code:1@0.1,partial:0.2@0.2,empty@0.1,kill_keepalive@0.2")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.sim.AddFaults(faults...); err != nil {
		t.Fatal(err)
	}
	ids := keys(users)
	for round := range 60 {
		changed := map[string]zimsim.State{}
		for i := range 5 {
			changed[ids[(round*37+i*11)%len(ids)]] = zimsim.State((round + i) % 3)
		}
		w.set(changed)
		<-time.After(100 * time.Millisecond)
	}
	w.sim.ClearFaults()
	w.sweeps(2)
	w.until("a sweep that misses nobody", func() bool {
		return w.count(`select missed_count from snapshots where app_id = $1 order by sweep desc limit 1`, worldApp) == 0
	})
	daemon.stop()
	w.audit()
	w.auditIntervals(w.events(0))
	if n := daemon.logged("sweep ended"); n < 3 {
		t.Errorf("%d sweeps, want several", n)
	}
	if len(w.events(len(users))) == 0 {
		t.Error("nothing was told of the changes")
	}
}
