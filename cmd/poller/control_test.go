package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/poll"
	"github.com/zim-presence/poller/internal/relay"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

func taken(epoch int64) func(presence.Control) bool {
	return func(c presence.Control) bool {
		l, is := c.(*presence.LeaseTold)
		return is && !l.Released && l.Epoch == epoch
	}
}

// epoch is that of the newest lease.
func (w *world) epoch() int64 {
	return int64(w.count(`select epoch from apps where app_id = $1`, worldApp))
}

// tellsOfItself has the program hold changes back, meet an incident and users who are not answered, and tell of all that.
func (w *world) tellsOfItself() {
	crowd := map[string]zimsim.State{}
	for i := range 70 {
		crowd[fmt.Sprintf("crowd-%02d", i)] = zimsim.Online
	}
	w.set(crowd)
	w.watch(keys(crowd)...)
	daemon := w.with("POLLER_HOLD_OFFLINE=2s", "POLLER_STALE_AFTER=16s", "POLLER_PLAUSIBILITY_MAX_OFFLINE_SHARE=0.3", "POLLER_PLAUSIBILITY_PATIENCE=1s").start("run")
	w.until("the crowd is there", func() bool {
		return w.count(`select count(*) from presence where user_id like 'crowd-%' and status = 'online'`) == len(crowd)
	})
	w.set(map[string]zimsim.State{"crowd-00": zimsim.LoggedOut})
	w.untilToldOf("a sweep with a held change", func(c presence.Control) bool {
		s, is := c.(*presence.SweepTold)
		return is && s.Complete && s.Held > 0
	})
	w.until("it is confirmed", func() bool { return w.count(`select count(*) from transitions where confirmed_at is not null`) > 0 })

	w.strike(zimsim.Fault{Kind: zimsim.Gone, Share: 1}, func() {
		w.untilToldOf("an incident", func(c presence.Control) bool { _, is := c.(*presence.IncidentTold); return is })
	})
	w.strike(zimsim.Fault{Kind: zimsim.HTTPError}, func() {
		w.until("users are stale", func() bool { return w.count(`select count(*) from transitions where kind = 'stale'`) > 0 })
	})
	w.until("they are known again", func() bool {
		return w.count(`select count(*) from presence where user_id like 'crowd-%' and status = 'unknown'`) == 0
	})
	daemon.stop()
	all := w.controls()
	last, is := all[len(all)-1].Control.(*presence.LeaseTold)
	late := strings.Contains(strings.Join(daemon.lines, "\n"), "control messages that were not told") // it has a second
	if !late && (!is || !last.Released || last.Epoch != w.epoch()) {
		w.t.Errorf("the last word of epoch %d is %+v, want that the lease is released", w.epoch(), all[len(all)-1].Control)
	}
}

// strike has ZIM go wrong for as long as meanwhile lasts.
func (w *world) strike(fault zimsim.Fault, meanwhile func()) {
	w.t.Helper()
	if err := w.sim.AddFaults(fault); err != nil {
		w.t.Fatal(err)
	}
	meanwhile()
	w.sim.ClearFaults()
}

// heard is a control stream that keeps what it is told.
type heard struct {
	mu  sync.Mutex
	all []presence.Control
}

func (h *heard) Ready(context.Context) error { return nil }

func (h *heard) Tell(_ context.Context, c presence.Control) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, c)
	return false, nil
}

// A sweep that ended its term is not told as finished: nobody knows what it has left. One that was broken off is, as such,
// and one in which nobody was answered is no watermark.
func TestFinishedIsTold(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	report := poll.Report{Sweep: 7, Started: at, Finished: at.Add(10 * time.Second), Watched: 9, Seen: 6, Seq: 40, Asked: poll.Asked{Requests: 50}}
	report.Missed = map[presence.MissReason]int{presence.MissFailed: 2, presence.MissImplausible: 1}
	unanswered, nobody := report, report
	unanswered.Seen, unanswered.Missed = 0, map[presence.MissReason]int{presence.MissFailed: 9}
	nobody.Seen, nobody.Watched, nobody.Missed = 0, 0, nil
	for name, c := range map[string]struct {
		done           poll.Report
		err            error
		told, complete bool
	}{
		"well": {report, nil, true, true}, "stopped": {report, context.Canceled, true, false},
		"no route to ZIM": {report, errors.New("no route"), true, false},
		"ZIM is away":     {unanswered, nil, true, false}, "nobody to ask": {nobody, nil, true, true},
		"not committed": {report, fmt.Errorf("%w: %w", poll.ErrTermOver, ledger.ErrFenced), false, false},
	} {
		h, a := &heard{}, &app{id: 1, woken: make(chan struct{}, 1)}
		a.rates.set(time.Time{}, 20)
		control := &relay.Teller{Control: h, Mark: presence.Mark{AppID: 1, Log: "7f3a90c2", Epoch: 5}}
		c.done.Complete = c.err == nil
		a.tellFinished(control, c.done, c.err)
		control.Stands(40)
		control.End(t.Context())
		if told := len(h.all) == 1; told != c.told || told != (len(a.woken) == 1) {
			t.Errorf("%s: told %v, woken %d times", name, h.all, len(a.woken))
			continue
		}
		if !c.told {
			continue
		}
		s := h.all[0].(*presence.SweepTold)
		if _, err := s.Data(); err != nil || s.Complete != c.complete || s.Missed != c.done.MissedTotal() || s.BudgetUsed != 0.25 || s.Seq != 40 {
			t.Errorf("%s: told %+v, %v", name, s, err)
		}
	}
}

func TestBudgetUsed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		requests int
		rate     float64
		took     time.Duration
		want     float64
	}{{0, 20, time.Minute, 0}, {600, 20, time.Minute, 0.5}, {1, 20, time.Millisecond, 1}, {21, 20, time.Second, 1}, {20, 20.9, 2 * time.Second, 0.5},
		{1, 0.1, 20 * time.Second, 0.5}, {0, 20, 0, 0}, {3, 0.5, -time.Second, 1}} {
		if got := budgetUsed(c.requests, whole(c.rate), c.took); got != c.want {
			t.Errorf("%d requests at %g a second in %s: %g, want %g", c.requests, c.rate, c.took, got, c.want)
		}
	}
}

// While NATS is away nothing is told, and all of it afterwards; a holder that is killed says nothing, the next one all.
func TestControlGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	users := population(50)
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")
	w.newEvents(0, len(users))
	w.untilToldOf("that the lease is taken", taken(1))
	w.nats.Stop()
	changed := among(users, zimsim.Online, 5)
	for _, id := range changed {
		w.set(map[string]zimsim.State{id: zimsim.LoggedOut})
	}
	w.sweeps(3)
	newest := int64(w.count(`select max(sweep) from snapshots where app_id = $1`, worldApp))
	w.nats.Start()
	w.untilToldOf("the newest sweep", func(c presence.Control) bool {
		s, is := c.(*presence.SweepTold)
		return is && s.Complete && s.Sweep == newest
	})
	daemon.kill()
	told := len(w.controls())
	daemon = w.start("run")
	w.untilToldOf("that the lease is taken again", taken(2))
	daemon.stop()
	w.auditControls()
	sweeps := map[int64]bool{}
	for i, c := range w.controls() {
		mark := markOf(c.Control)
		if i < told && mark.N != int64(i+1) {
			t.Errorf("message %d of the first term has number %d: one was given up", i+1, mark.N)
		}
		switch m := c.Control.(type) {
		case *presence.SweepTold:
			if m.Complete {
				sweeps[m.Sweep] = true
			}
		case *presence.LeaseTold:
			if m.Released != (mark.Epoch == 2 && mark.N > 1) || !strings.Contains(m.Owner, ":") {
				t.Errorf("told of the lease: %+v", m)
			}
		}
	}
	for sweep := int64(1); sweep <= newest; sweep++ {
		if !sweeps[sweep] {
			t.Errorf("sweep %d was not told", sweep)
		}
	}
	if n := daemon.logged("sweeps, incidents and the lease cannot be told on the control stream; the events go on"); n != 0 {
		t.Errorf("%d warnings without trouble", n)
	}
}

// Where the permissions are missing to tell beside the events, the events go on, readiness is green, and it is said once.
func TestControlDenied(t *testing.T) {
	t.Parallel()
	_, config := permissions(t)
	config = regexp.MustCompile(`"[^"]*(control|CONTROL)[^"]*",?`).ReplaceAllString(config, "")
	server := localtest.NATSConfigured(t, strings.Replace(config, "users: [", "users: [ { user: admin, password: secret },", 1))
	w := newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0")
	w.env = append(w.env, "POLLER_NATS_URL=nats://poller:secret@"+server.Addr())
	w.js = connectAs(t, server, "admin")
	users := population(50)
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")
	w.newEvents(0, len(users))
	w.until("it has failed twice", func() bool { return w.metric(daemon, `poller_control_failures_total{app="4000000001"}`) >= 2 })
	changed := among(users, zimsim.Online, 5)
	for _, id := range changed {
		w.set(map[string]zimsim.State{id: zimsim.LoggedOut})
	}
	w.newEvents(len(users), len(changed))
	w.untilReady(daemon)
	daemon.stop()
	w.audit()
	if n := daemon.logged("sweeps, incidents and the lease cannot be told on the control stream; the events go on"); n != 1 {
		t.Errorf("said %d times that they cannot be told, want once", n)
	}
	if all := w.controls(); len(all) > 0 {
		t.Errorf("told all the same: %v", all)
	}
}
