package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/zim-presence/poller/internal/zimsim"
)

// Three replicas share six apps. One is killed, hangs, stops, and comes back, and
// each time the others take over, and give back. Nothing is lost, doubled or
// reordered, and no sliding second of any app has more than the limit.
func TestReplicasShareTheApps(t *testing.T) {
	t.Parallel()
	// A sweep takes 1.2 s of the limit: there is no time between two.
	f := newFleet(t, 6, "POLLER_LEASE_TTL=5s", "POLLER_ZIM_BATCH_SIZE=10")
	var stops []func()
	for _, app := range f.apps {
		stops = append(stops, f.of(app).keepFlipping(population(usersOfEach), uint64(app)))
	}
	a, b, c := f.replica(0), f.replica(0), f.replica(0)
	f.untilShared(a, b, c)

	lost := f.heldBy(a)
	a.kill()
	t.Logf("kill -9: %v are asked about by others after %v", lost, f.untilAsked(lost))
	f.untilShared(b, c)

	before := f.arrived()
	a = f.replica(0)
	f.untilShared(a, b, c)
	f.checkPauses("a third comes", f.heldBy(a), before)
	if n := b.logged("the lease was given up for another replica's share") + c.logged("the lease was given up for another replica's share"); n < 2 {
		t.Errorf("%d leases were given up for the one that came back, want 2", n)
	}

	lost = f.heldBy(b)
	if err := b.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Logf("SIGSTOP, TTL 5s: %v are asked about by others after %v", lost, f.untilAsked(lost))
	f.untilShared(a, c)
	if err := b.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	f.untilShared(a, b, c)

	lost, before = f.heldBy(c), f.arrived()
	c.stop()
	f.checkPauses("SIGTERM", lost, before)
	f.untilShared(a, b)

	for _, stop := range stops {
		stop()
	}
	f.untilSwept(f.apps...)
	a.stop()
	b.stop()
	if n := f.count(`select count(*) from replicas where expires_at > now() and owner like '%:' || $1 || ':%'`, strconv.Itoa(a.cmd.Process.Pid)); n != 0 {
		t.Error("who has stopped is still on the register")
	}
	f.auditApps(f.apps...)
	// Two apps of one that was killed, of those who gave up for a third, of one that
	// stood still, and three of one that stopped.
	if changes := f.turns.audit(t); changes < 8 {
		t.Errorf("%d turns, too few to prove anything", changes)
	}
}

// With different apps each, every app is polled as long as any replica has it,
// by one that has it.
func TestReplicasWithDifferentApps(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 5)
	has := map[*process][]uint32{}
	start := func(apps ...uint32) *process {
		p := f.replica(0, apps...)
		has[p] = apps
		return p
	}
	// want waits until each of the apps is held by one that has it, and the
	// replicas hold as many as they are to.
	want := func(apps []uint32, held map[*process]int) {
		t.Helper()
		f.until(fmt.Sprintf("%v are held", apps), func() bool {
			all := 0
			for p, n := range held {
				got := f.heldBy(p)
				for _, app := range got {
					if !slices.Contains(has[p], app) {
						t.Errorf("app %d is held by one that has %v", app, has[p])
					}
				}
				if len(got) != n {
					return false
				}
				all += len(got)
			}
			return all == len(apps)
		})
		f.untilSwept(apps...)
	}
	a := start(1, 2, 3)
	want([]uint32{1, 2, 3}, map[*process]int{a: 3})
	b := start(3, 4, 5) // 3 may stay where it is
	want(f.apps, map[*process]int{a: 3, b: 2})
	c := start(1, 2, 5) // a's share is 1/2 + 1/2 + 1/2
	want(f.apps, map[*process]int{a: 2, b: 2, c: 1})
	b.kill()
	want([]uint32{1, 2, 3, 5}, map[*process]int{a: 2, c: 2})
	c.kill()
	want([]uint32{1, 2, 3}, map[*process]int{a: 3})
	d := start(3, 4, 5, 2)
	want(f.apps, map[*process]int{a: 2, d: 3})
	a.stop()
	d.stop()
	f.auditApps(f.apps...)
	f.turns.audit(t)
}

// One app has a wrong secret, the stream of another does not let anybody tell.
// Both go from replica to replica, and the others notice nothing.
func TestBadAppsDoNotTouchTheOthers(t *testing.T) {
	t.Parallel()
	const locked, halted = 1, 2
	f := newFleet(t, 4)
	good := []uint32{3, 4}
	a, b := f.replica(locked), f.replica(locked)
	f.untilShared(a, b)
	f.untilSwept(halted, 3, 4)
	if err := f.publish(fmt.Sprintf("presence.v1.%d.online.somebody", halted), "of somebody else"); err != nil {
		t.Fatal(err)
	}
	f.of(halted).set(map[string]zimsim.State{"user-00000": zimsim.Online})
	red := func(app uint32, check string) {
		t.Helper()
		name := fmt.Sprintf("%s/%d", check, app)
		f.until("a red check "+name, func() bool {
			for _, p := range []*process{a, b} {
				if _, red := p.ready(); red[name] != "" {
					return true
				}
			}
			return false
		})
	}
	work := func() {
		t.Helper()
		red(locked, "zim")
		red(halted, "stream")
		for _, app := range good {
			state := zimsim.Online
			if now, _ := f.sim.App(app).State("user-00001"); now == zimsim.Online {
				state = zimsim.Timeout
			}
			told := f.count(`select last_seq from apps where app_id = $1`, app)
			f.of(app).set(map[string]zimsim.State{"user-00001": state})
			f.until("the change is told", func() bool {
				return f.count(`select count(*) from relay_cursors where app_id = $1 and told_seq > $2`, app, told) == 1
			})
		}
		for _, p := range []*process{a, b} {
			_, red := p.ready()
			for _, app := range good {
				for check := range red {
					if strings.HasSuffix(check, fmt.Sprintf("/%d", app)) {
						t.Errorf("the check %s is red: %s", check, red[check])
					}
				}
			}
		}
	}
	work()
	for range 2 {
		a.kill()
		f.untilShared(b)
		a = f.replica(locked)
		f.untilShared(a, b)
		work()
		a, b = b, a
	}
	if asked := f.sim.App(locked).Stats().Arrivals; asked > 20 {
		t.Errorf("%d requests with a wrong secret, want hardly any", asked)
	}
	f.untilSwept(good...)
	a.stop()
	b.stop()
	f.auditApps(good...)
	f.turns.audit(t)
}

func (w *world) publish(subject, text string) error {
	nc, err := nats.Connect(w.nats.URL())
	if err != nil {
		return err
	}
	defer nc.Close()
	_, err = nc.Request(subject, []byte(text), patience)
	return err
}

// Who waits for many apps has one connection to wait with, and little else.
func TestWaitingCostsOneConnection(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 40)
	f.exec(`insert into apps (app_id, owner, expires_at) select unnest($1::bigint[]), 'somebody else', now() + interval '1 hour'`, f.apps)
	daemon := f.replica(0)
	f.until("the share is known", func() bool { return f.metric(daemon, "poller_apps_assigned") == 40 })
	if n := f.count(`select count(*) from pg_stat_activity where application_name = 'poller' and datname = current_database()`); n > 4 {
		t.Errorf("%d connections to wait for 40 apps, want hardly any", n)
	}
	f.exec(`update apps set owner = null`)
	f.untilShared(daemon)
	f.untilSwept(f.apps...)
	daemon.stop()
}
