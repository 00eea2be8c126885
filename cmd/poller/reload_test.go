package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/audit"
	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/page"
	"github.com/zim-presence/poller/internal/zimsim"
)

// reloaded is a daemon whose configuration file changes.
type reloaded struct {
	*fleet
	*process
	file     string
	secrets  map[uint32]string // files
	postgres *localtest.Proxy
}

// hup sends a real SIGHUP.
func (r *reloaded) hup() {
	r.fleet.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		r.fleet.t.Fatal(err)
	}
}

// write puts another file in the place of the configuration, as an editor does.
func (r *reloaded) write(yaml string) {
	r.fleet.t.Helper()
	next := r.file + ".new"
	if err := os.WriteFile(next, []byte(yaml), 0o600); err != nil {
		r.fleet.t.Fatal(err)
	}
	if err := os.Rename(next, r.file); err != nil {
		r.fleet.t.Fatal(err)
	}
}

// config is a configuration of some apps.
func (r *reloaded) config(rest string, apps ...string) string {
	return rest + "\napps:\n  - {" + strings.Join(apps, "}\n  - {") + "}\n"
}

// app is an entry, which is asked about at the given address.
func (r *reloaded) app(id uint32, also string) string {
	return fmt.Sprintf("app_id: %d, server_secret_file: %q%s", id, r.secrets[id], also)
}

// reloads has the configuration read again, and waits until that is said once more.
func (r *reloaded) reloads(yaml, message string) {
	r.fleet.t.Helper()
	before := r.logged(message)
	r.write(yaml)
	r.hup()
	r.until(message, func() bool { return r.logged(message) > before })
}

const (
	didReload   = "configuration reloaded"
	sameAsWas   = "configuration reloaded: nothing has changed"
	notReloaded = "the configuration was not reloaded; the one before stays in force"
)

// pageSaysRefused tells whether the status page says that the configuration that was read last was refused.
func (r *reloaded) pageSaysRefused() bool {
	var b page.Board
	r.process.site().get("/api/board", &b)
	return b.ConfigRefused
}

func (r *reloaded) metrics() string {
	r.fleet.t.Helper()
	resp, err := http.Get("http://" + r.field("http listens", "addr") + "/metrics")
	if err != nil {
		r.fleet.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.fleet.t.Fatal(err)
	}
	return string(text)
}

// newReloaded starts a daemon on apps 2 and 3 of three, which cannot reach its database.
func newReloaded(t *testing.T) *reloaded {
	f := newFleet(t, 3)
	r := &reloaded{fleet: f, file: filepath.Join(t.TempDir(), "poller.yaml"), secrets: map[uint32]string{}}
	for _, app := range f.apps {
		r.secrets[app] = filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(r.secrets[app], []byte(worldSecret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var through string
	r.postgres, through = localtest.PostgresProxy(t, f.dsn)
	r.postgres.Refuse()
	world := f.with("POLLER_CONFIG="+r.file, f.turns.of("the daemon", f.world), "POLLER_DATABASE_URL="+through)
	world.env = without(world.env, "POLLER_SCHEDULE=", "POLLER_LOG_LEVEL=", "POLLER_ZIM_RATE=")
	r.write(r.config("schedule: \"@every 1s\"\nzim: {rate: 5}", r.app(2, ""), r.app(3, "")))
	r.process = world.start("run")
	return r
}

// Everything that a configuration may say differently, told to one daemon by SIGHUP, while the users of all apps come and
// go: nothing is lost or doubled by it, and no sliding second holds more than is allowed.
func TestReload(t *testing.T) {
	t.Parallel()
	r := newReloaded(t)
	r.until("the database is waited for", func() bool { return r.logged("waiting for the database") > 0 })
	r.reloads("zim: {rate: none}", notReloaded)
	r.reloads(r.config("schedule: \"@every 1s\"\nzim: {rate: 5}", r.app(1, ""), r.app(2, "")), didReload)
	r.postgres.Accept()
	r.untilSwept(1, 2)
	if n := r.sim.App(3).Stats().Arrivals; n != 0 {
		t.Errorf("%d requests about an app that was taken out before it was polled", n)
	}
	flips := r.comeAndGo()
	defer flips.stop()

	t.Run("nothing has changed", func(t *testing.T) {
		before := r.logged(sameAsWas)
		r.hup()
		r.until(sameAsWas, func() bool { return r.logged(sameAsWas) > before })
	})
	t.Run("an app more, another rate", func(t *testing.T) {
		r.reloads(r.config("schedule: \"@every 1s\"\nzim: {rate: 4}\nlog: {level: debug}", r.app(1, ""), r.app(2, ", rate: 2"), r.app(3, "")), didReload)
		for field, want := range map[string]string{
			"changed": "[zim.rate log.level app 2: rate]", "applied": "[zim.rate log.level app 2: rate]", "needs_restart": "[]", "apps_added": "[3]", "apps_removed": "[]",
		} {
			if got := r.field(didReload, field); got != want {
				t.Errorf("%s: %s, want %s", field, got, want)
			}
		}
		r.untilSwept(3)
		if metrics := r.metrics(); !strings.Contains(metrics, `poller_budget_limit{app="2"} 2`) || !strings.Contains(metrics, `poller_budget_limit{app="3"} 4`) {
			t.Error("the budgets are not as the configuration says")
		}
	})
	t.Run("faults", func(t *testing.T) {
		before := r.logged("a fault in the configuration that was read again")
		r.reloads(r.config("schedule: \"@every 1s\"\nzim: {rate: -4, server_secret: "+worldSecret+"}\nunknown: 7", r.app(1, "")), notReloaded)
		if n := r.logged("a fault in the configuration that was read again") - before; n != 3 {
			t.Errorf("%d faults, want 3", n)
		}
		if !r.pageSaysRefused() {
			t.Error("the page does not say that the configuration was refused")
		}
		if key, line := r.field("a fault in the configuration that was read again", "key"), r.field("a fault in the configuration that was read again", "line"); key == "" || line == "0" {
			t.Errorf("a fault of %q in line %s", key, line)
		}
		if err := os.Remove(r.file); err != nil {
			t.Fatal(err)
		}
		before = r.logged(notReloaded)
		r.hup()
		r.until("no file", func() bool { return r.logged(notReloaded) == before+1 })
		if err := os.Mkdir(r.file, 0o700); err != nil {
			t.Fatal(err)
		}
		r.hup()
		r.until("a directory", func() bool { return r.logged(notReloaded) == before+2 })
		if err := os.Remove(r.file); err != nil {
			t.Fatal(err)
		}
		r.untilSwept(1, 2, 3)
	})
	t.Run("what wants a restart", func(t *testing.T) {
		r.reloads(r.config("schedule: \"@every 2s\"\nzim: {rate: 5}\nlease: {ttl: 20s}\nstream: {max_age: 20d}\nhold: {offline: 2s}\nstale_after: 1m\nplausibility: {max_offline_share: 0.3}",
			r.app(1, ", batch_size: 7, timeout: 4s"), r.app(2, ""), r.app(3, "")), didReload)
		if r.pageSaysRefused() {
			t.Error("the page says that the configuration was refused, when it was not")
		}
		if got, want := r.field(didReload, "needs_restart"), "[lease.ttl stream.max_age]"; got != want {
			t.Errorf("needs restart: %s, want %s", got, want)
		}
		if got := r.field(didReload, "level"); got != "warn" {
			t.Errorf("level %s, want warn", got)
		}
		r.until("a change was held back, and told", func() bool {
			return r.count(`select count(*) from transitions where confirmed_at is not null`) > 0
		})
		r.untilSwept(1, 2, 3)
	})
	t.Run("an app less", func(t *testing.T) {
		r.reloads(r.config("schedule: \"@every 1s\"\nzim: {rate: 5}", r.app(1, ""), r.app(3, "")), didReload)
		if got := r.field(didReload, "apps_removed"); got != "[2]" {
			t.Errorf("removed %s, want [2]", got)
		}
		if n := r.count(`select count(*) from apps where app_id = 2 and owner is null`); n != 1 {
			t.Error("the lease of the app that was removed was not given back")
		}
		_, checks := r.ready()
		for name := range checks {
			if strings.HasSuffix(name, "/2") {
				t.Errorf("the check %s is there still", name)
			}
		}
		if metrics := r.metrics(); strings.Contains(metrics, `app="2"`) || !strings.Contains(metrics, "\npoller_config_restart_keys 0\n") ||
			!strings.Contains(metrics, "\npoller_config_reloads_total{outcome=\"refused\"} 4\n") {
			t.Error("metrics of the app that was removed are there still, or those of reloads are wrong")
		}
		r.until("the others know", func() bool { return r.count(`select count(*) from replicas where apps = '{1,3}'`) == 1 })
		asked := r.sim.App(2).Stats().Arrivals
		r.untilSwept(1, 3)
		if again := r.sim.App(2).Stats().Arrivals; again != asked {
			t.Errorf("%d requests about the app that was removed", again-asked)
		}
		r.reloads(r.config("schedule: \"@every 1s\"\nzim: {rate: 5}", r.app(1, ""), r.app(2, ""), r.app(3, "")), didReload)
		r.untilSwept(1, 2, 3)
	})
	t.Run("while the database is away", func(t *testing.T) {
		r.postgres.Refuse()
		r.postgres.Cut()
		r.reloads(r.config("schedule: \"@every 1s\"\nzim: {rate: 4}", r.app(1, ""), r.app(3, "")), didReload)
		r.reloads(r.config("schedule: \"@every 1s\"\nzim: {rate: 5}", r.app(1, ""), r.app(2, "")), didReload)
		r.reloads(r.config("schedule: \"@every 1s\"\nzim: {rate: 5}", r.app(1, ""), r.app(2, ""), r.app(3, "")), didReload)
		r.postgres.Accept()
		r.untilSwept(1, 2, 3)
	})
	t.Run("a secret that is mended", func(t *testing.T) {
		if err := os.WriteFile(r.secrets[1], []byte(strings.Repeat("0", 32)), 0o600); err != nil {
			t.Fatal(err)
		}
		before := r.logged(didReload)
		r.hup()
		r.until("the secret was read", func() bool { return r.logged(didReload) > before })
		if got := r.field(didReload, "applied"); got != "[app 1: server_secret]" {
			t.Errorf("applied %s", got)
		}
		refused := r.sim.App(1).Stats().Refused["100000005"]
		r.until("ZIM refuses it", func() bool { return r.sim.App(1).Stats().Refused["100000005"] > refused })
		if err := os.WriteFile(r.secrets[1], []byte(worldSecret), 0o600); err != nil {
			t.Fatal(err)
		}
		r.hup()
		r.untilSwept(1, 2, 3)
	})
	t.Run("many at once", func(t *testing.T) {
		for range 30 {
			r.hup()
		}
		r.untilSwept(1, 2, 3)
	})
	flips.stop()
	r.untilSwept(1, 2, 3)
	r.hup() // and stop at once
	r.stop()
	r.auditApps(1, 2, 3)
	r.checkLimits()
}

// comers flips users of all apps until it is stopped.
type comers struct {
	quit, done chan struct{}
}

func (r *reloaded) comeAndGo() *comers {
	c := &comers{make(chan struct{}), make(chan struct{})}
	go func() {
		defer close(c.done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-tick.C:
			case <-c.quit:
				return
			}
			app := r.sim.App(r.apps[n%len(r.apps)])
			users := keys(population(usersOfEach))
			if _, err := app.Set(users[n%len(users)], zimsim.State((n+n/len(users))%3)); err != nil {
				r.fleet.t.Error(err)
			}
		}
	}()
	return c
}

func (c *comers) stop() {
	select {
	case <-c.quit:
	default:
		close(c.quit)
	}
	<-c.done
}

// checkLimits holds the requests of each app against what was the most that was ever set. That of app 2, at a time, was 2.
func (r *reloaded) checkLimits() {
	for _, app := range r.fleet.apps {
		most, findings := audit.Arrivals(app, r.turns.arrivals(app), fleetRate, time.Second)
		if len(findings) > 0 || most == 0 {
			r.fleet.t.Errorf("app %d: at most %d in a sliding second: %v", app, most, findings)
		}
	}
	if n := slices.Max([]int{r.logged("panic"), 0}); n > 0 {
		r.fleet.t.Error("it panicked")
	}
}
