package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// beside is a message of the control stream, and when the server stored it.
type beside struct {
	at time.Time
	presence.Control
}

// controls are the messages of the control stream that a holder of the lease has told, in order.
func (w *world) controls() (all []beside) {
	w.t.Helper()
	w.each(stream.ControlStreamName(worldApp), func(m jetstream.Msg, at time.Time) {
		var c presence.Control
		var err error
		switch m.Subject() {
		case presence.ControlSubject(worldApp, presence.SweepWord):
			var s presence.SweepTold
			s, err = presence.ParseSweepTold(m.Data())
			c = &s
		case presence.ControlSubject(worldApp, presence.IncidentWord):
			var i presence.IncidentTold
			i, err = presence.ParseIncidentTold(m.Data())
			c = &i
		case presence.ControlSubject(worldApp, presence.LeaseWord):
			var l presence.LeaseTold
			l, err = presence.ParseLeaseTold(m.Data())
			c = &l
		default:
			return
		}
		if err != nil {
			w.t.Error(err)
			return
		}
		all = append(all, beside{at, c})
	})
	return all
}

// each visits the messages that a stream holds now; none where there is no stream.
func (w *world) each(name string, visit func(m jetstream.Msg, at time.Time)) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := w.js.Stream(ctx, name)
	if err != nil {
		return
	}
	reader, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		w.t.Fatal(err)
	}
	for left := s.CachedInfo().State.Msgs; left > 0; {
		m, err := reader.Next(jetstream.FetchMaxWait(patience))
		if err != nil {
			w.t.Fatalf("%s, %d messages before its end: %v", name, left, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			w.t.Fatal(err)
		}
		visit(m, meta.Timestamp)
		left = meta.NumPending
	}
}

// untilToldOf waits for a message of the control stream.
func (w *world) untilToldOf(what string, is func(presence.Control) bool) {
	w.t.Helper()
	w.until(what+" is told", func() bool {
		for _, c := range w.controls() {
			if is(c.Control) {
				return true
			}
		}
		return false
	})
}

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
	daemon := w.with("POLLER_HOLD_OFFLINE=2s", "POLLER_STALE_AFTER=10s", "POLLER_PLAUSIBILITY_MAX_OFFLINE_SHARE=0.3", "POLLER_PLAUSIBILITY_PATIENCE=1s").start("run")
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
	if !is || !last.Released || last.Epoch != w.epoch() {
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

// auditControls holds what was told beside the events against the events and the snapshots.
func (w *world) auditControls() {
	w.t.Helper()
	stored := map[int64]time.Time{}
	w.each(stream.EventStreamName(worldApp), func(m jetstream.Msg, at time.Time) {
		if e, err := presence.ParseEvent(m.Data()); err == nil {
			stored[e.Seq] = at
		}
	})
	var last presence.Mark
	complete := 0
	for _, c := range w.controls() {
		mark := markOf(c.Control)
		if mark.Epoch < last.Epoch || mark.Epoch == last.Epoch && mark.N <= last.N {
			w.t.Errorf("%s is told behind %s", mark.ID(), last.ID())
		}
		last = mark
		s, is := c.Control.(*presence.SweepTold)
		if !is || !s.Finished() {
			continue
		}
		for seq, at := range stored {
			if seq <= s.Seq && at.After(c.at) {
				w.t.Errorf("sweep %d: told with seq %d at %s, and event %d came at %s", s.Sweep, s.Seq, c.at, seq, at)
			}
		}
		if s.Complete {
			complete++
			w.asStored(s)
		}
	}
	if complete == 0 {
		w.t.Error("no complete sweep was told")
	}
}

func markOf(c presence.Control) presence.Mark {
	switch m := c.(type) {
	case *presence.SweepTold:
		return m.Mark
	case *presence.IncidentTold:
		return m.Mark
	case *presence.LeaseTold:
		return m.Mark
	}
	return presence.Mark{}
}

// asStored compares a sweep that was told with its snapshot.
func (w *world) asStored(s *presence.SweepTold) {
	w.t.Helper()
	var seq int64
	var watched, seen, missed int
	var started time.Time
	if err := w.pool.QueryRow(context.Background(), `
		select seq, watched, seen, started, coalesce((select sum(upper(r) - lower(r)) from unnest(missed) r), 0)
		  from snapshots
		 where app_id = $1 and sweep = $2`, worldApp, s.Sweep).Scan(&seq, &watched, &seen, &started, &missed); err != nil {
		w.t.Errorf("sweep %d was told as complete: %v", s.Sweep, err)
		return
	}
	if s.Seq != seq || s.Watched != watched || s.Seen != seen || s.Missed != missed || !s.StartedAt.Equal(started) || s.Seen+s.Missed != s.Watched {
		w.t.Errorf("sweep %d was told as %+v, and is stored with seq %d, watched %d, seen %d, missed %d, started %s",
			s.Sweep, s, seq, watched, seen, missed, started)
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
