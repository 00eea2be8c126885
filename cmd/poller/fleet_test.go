package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/internal/audit"
	"github.com/zim-presence/poller/internal/zimsim"
)

// fleet is a world with several apps, for replicas to share.
type fleet struct {
	*world
	apps    []uint32
	turns   *turns
	started int // replicas
}

const (
	usersOfEach = 60
	// fleetRate is low: the requests of one holder are 200 ms apart, and those of two
	// at once too many within a second.
	fleetRate = 5
)

// newFleet makes apps 1 to n, each with a few users.
func newFleet(t *testing.T, n int, env ...string) *fleet {
	t.Helper()
	f := &fleet{turns: &turns{}, world: newWorld(t, append([]string{"POLLER_HTTP_LISTEN=127.0.0.1:0", fmt.Sprintf("POLLER_ZIM_RATE=%d", fleetRate)}, env...)...)}
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
	f.started++
	return f.with("POLLER_CONFIG="+file, f.turns.of(fmt.Sprintf("replica %d", f.started), f.world)).start("run")
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
		arrivals := f.turns.arrivals(app)
		pause := time.Duration(0)
		for i := max(1, since[app]); i < len(arrivals); i++ {
			pause = max(pause, arrivals[i]-arrivals[i-1])
		}
		pauses = append(pauses, pause.Round(time.Millisecond))
	}
	f.t.Logf("%s: %v are asked about again after a pause of %v", what, apps, pauses)
	if len(pauses) == 0 || slices.Min(pauses) < 900*time.Millisecond {
		f.t.Errorf("%s: pauses of %v, want about a second each", what, pauses)
	}
}

func (f *fleet) arrived() map[uint32]int {
	n := map[uint32]int{}
	for _, app := range f.apps {
		arrivals := f.turns.arrivals(app)
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
		arrivals := f.turns.arrivals(app)
		most, findings := audit.Arrivals(app, arrivals, fleetRate, time.Second)
		for _, found := range findings {
			f.t.Error(found)
		}
		f.t.Logf("app %d: %d requests, at most %d in a sliding second", app, len(arrivals), most)
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
