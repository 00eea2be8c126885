package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"

	"github.com/zim-presence/poller/internal/audit"
	"github.com/zim-presence/poller/internal/zimsim"
)

// fleet is a world with several apps, for replicas to share.
type fleet struct {
	*world
	apps []uint32
}

const (
	usersOfEach = 60
	// fleetRate is low, so that a crowded machine does not decide the outcome: the
	// requests of one holder are 200 ms apart, and those of two at once are too
	// many within 800 ms, however late some of them are noted.
	fleetRate = 5
	fleetSpan = 800 * time.Millisecond
)

// newFleet makes apps 1 to n, each with a few users.
func newFleet(t *testing.T, n int, env ...string) *fleet {
	t.Helper()
	f := &fleet{world: newWorld(t, append([]string{"POLLER_HTTP_LISTEN=127.0.0.1:0", fmt.Sprintf("POLLER_ZIM_RATE=%d", fleetRate)}, env...)...)}
	f.env = without(f.env, "POLLER_ZIM_APP_ID=", "POLLER_ZIM_SERVER_SECRET=")
	for app := uint32(1); app <= uint32(n); app++ {
		if _, err := f.sim.AddApp(zimsim.AppConfig{ID: app, Secret: worldSecret}); err != nil {
			t.Fatal(err)
		}
		f.apps = append(f.apps, app)
		f.of(app).set(population(usersOfEach))
		f.exec(`insert into watched_users (app_id, user_id) select $1, unnest($2::text[])`, app, keys(population(usersOfEach)))
	}
	return f
}

// of is the world as one app sees it.
func (f *fleet) of(app uint32) *world {
	one := *f.world
	one.zim = f.sim.App(app)
	return &one
}

// replica starts a replica with the given apps, or with all of them. An app that
// is said to be wrong has a wrong secret.
func (f *fleet) replica(wrong uint32, apps ...uint32) *process {
	f.t.Helper()
	if len(apps) == 0 {
		apps = f.apps
	}
	var yaml strings.Builder
	yaml.WriteString("apps:\n")
	for _, app := range apps {
		secret := worldSecret
		if app == wrong {
			secret = strings.Repeat("0", len(worldSecret))
		}
		fmt.Fprintf(&yaml, "  - {app_id: %d, server_secret: %q}\n", app, secret)
	}
	file := filepath.Join(f.t.TempDir(), "poller.yaml")
	if err := os.WriteFile(file, []byte(yaml.String()), 0o600); err != nil {
		f.t.Fatal(err)
	}
	configured := *f.world
	configured.env = append(slices.Clone(f.env), "POLLER_CONFIG="+file)
	return configured.start("run")
}

// holders are the processes that hold the apps' leases, by their pids.
func (f *fleet) holders() map[uint32]int {
	f.t.Helper()
	rows, err := f.pool.Query(context.Background(), `select app_id, split_part(owner, ':', 2)::int from apps where owner is not null`)
	if err != nil {
		f.t.Fatal(err)
	}
	holders := map[uint32]int{}
	var app uint32
	var pid int
	if _, err := pgx.ForEachRow(rows, []any{&app, &pid}, func() error { holders[app] = pid; return nil }); err != nil {
		f.t.Fatal(err)
	}
	return holders
}

func (f *fleet) heldBy(p *process) (apps []uint32) {
	for app, pid := range f.holders() {
		if pid == p.cmd.Process.Pid {
			apps = append(apps, app)
		}
	}
	return apps
}

// untilShared waits until the replicas, and nobody else, hold all apps, none
// more than its share.
func (f *fleet) untilShared(replicas ...*process) {
	f.t.Helper()
	share := (len(f.apps) + len(replicas) - 1) / len(replicas)
	f.until(fmt.Sprintf("%d apps shared by %d", len(f.apps), len(replicas)), func() bool {
		all := 0
		for _, p := range replicas {
			n := len(f.heldBy(p))
			if n > share {
				return false
			}
			all += n
		}
		return all == len(f.apps)
	})
}

// untilAsked waits until each of the apps has been asked about again, and
// returns how long that took.
func (f *fleet) untilAsked(apps []uint32) (waits []time.Duration) {
	f.t.Helper()
	began := time.Now()
	before := map[uint32]uint64{}
	for _, app := range apps {
		before[app] = f.sim.App(app).Stats().Arrivals
	}
	for len(before) > 0 {
		f.until("somebody asks about each app", func() bool {
			for app, n := range before {
				if f.sim.App(app).Stats().Arrivals > n {
					waits = append(waits, time.Since(began).Round(time.Millisecond))
					delete(before, app)
					return true
				}
			}
			return false
		})
	}
	return waits
}

// checkPauses waits until somebody asks about the apps again, and wants of each
// that it was left alone for as long as the past holder's requests count. since is
// how many requests each had had before.
func (f *fleet) checkPauses(what string, apps []uint32, since map[uint32]int) {
	f.t.Helper()
	f.untilAsked(apps)
	var pauses []time.Duration
	for _, app := range apps {
		arrivals, _ := f.sim.App(app).Arrivals(0)
		pause := time.Duration(0)
		for i := max(1, since[app]); i < len(arrivals); i++ {
			pause = max(pause, arrivals[i]-arrivals[i-1])
		}
		pauses = append(pauses, pause.Round(time.Millisecond))
	}
	f.t.Logf("%s: %v are asked about again after a pause of %v", what, apps, pauses)
	if len(pauses) == 0 || slices.Min(pauses) < fleetSpan {
		f.t.Errorf("%s: pauses of %v, want about a second each", what, pauses)
	}
}

func (f *fleet) arrived() map[uint32]int {
	n := map[uint32]int{}
	for _, app := range f.apps {
		arrivals, _ := f.sim.App(app).Arrivals(0)
		n[app] = len(arrivals)
	}
	return n
}

// auditApps proves for each app what audit proves for one, and the limit. The
// programs must have come to rest.
func (f *fleet) auditApps(apps ...uint32) {
	f.t.Helper()
	for _, app := range apps {
		one := f.of(app)
		report, err := audit.Audit{DB: f.pool, JS: f.js, App: app, Truth: one.truth, Patience: patience}.Run(context.Background())
		if err != nil {
			f.t.Fatal(err)
		}
		for _, found := range report.Findings {
			f.t.Error(found)
		}
		arrivals, _ := one.zim.Arrivals(0)
		most, findings := audit.Arrivals(app, arrivals, fleetRate, fleetSpan)
		for _, found := range findings {
			f.t.Error(found)
		}
		f.t.Logf("app %d: %d requests, at most %d within %s", app, len(arrivals), most, fleetSpan)
		if repeated := one.zim.Stats().RepeatedNonces; repeated != 0 {
			f.t.Errorf("app %d: %d nonces were used twice", app, repeated)
		}
	}
}

// untilSwept waits until each app has been swept as a whole, by a sweep that
// began after now, and all of it has been told.
func (f *fleet) untilSwept(apps ...uint32) {
	f.t.Helper()
	since := time.Now()
	f.until("a sweep of each app", func() bool {
		return f.count(`select count(distinct app_id) from snapshots where app_id = any($1) and started >= $2 and missed_count = 0`, apps, since) == len(apps)
	})
	f.until("everything told", func() bool {
		return f.count(`select count(*) from apps a join relay_cursors c using (app_id) where app_id = any($1) and told_seq = last_seq`, apps) == len(apps)
	})
}

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
