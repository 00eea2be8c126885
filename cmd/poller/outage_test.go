package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// ready asks the program whether it is, and which checks are red.
func (p *process) ready() (bool, map[string]string) {
	resp, err := http.Get("http://" + p.field("http listens", "addr") + "/readyz")
	if err != nil {
		return false, nil
	}
	defer resp.Body.Close()
	var answer struct {
		Ready  bool
		Checks []struct {
			Name, Error string
			OK          bool
		}
	}
	if json.NewDecoder(resp.Body).Decode(&answer) != nil {
		return false, nil
	}
	red := map[string]string{}
	for _, c := range answer.Checks {
		if !c.OK {
			red[c.Name] = c.Error
		}
	}
	return answer.Ready, red
}

func (w *world) untilReady(p *process) {
	w.t.Helper()
	w.until("readiness", func() bool { ready, _ := p.ready(); return ready })
}

func (w *world) untilRed(p *process, check string) {
	w.t.Helper()
	w.until("a red check "+check, func() bool { _, red := p.ready(); return red[check] != "" })
}

// Sweeps go on while NATS is away; what they saw is told when it is back, in
// order and once.
func TestNATSAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0")
	users := population(100)
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")
	w.newEvents(0, len(users))
	w.untilReady(daemon)
	w.nats.Stop()
	w.untilRed(daemon, "nats")
	w.untilRed(daemon, fmt.Sprintf("stream/%d", worldApp))
	for range 3 { // there and back and there again
		for _, id := range among(users, zimsim.Online, 10) {
			w.set(map[string]zimsim.State{id: zimsim.LoggedOut})
			users[id] = zimsim.LoggedOut
		}
		w.sweeps(2)
		for _, id := range among(users, zimsim.Timeout, 5) {
			w.set(map[string]zimsim.State{id: zimsim.Online})
			users[id] = zimsim.Online
		}
		w.sweeps(2)
	}
	recorded := w.count(`select count(*) from transitions where app_id = $1`, worldApp)
	if recorded <= len(users) {
		t.Errorf("%d events recorded while NATS was away, want more than %d", recorded, len(users))
	}
	w.nats.Start()
	w.until("all told", func() bool { return len(w.events(0)) == recorded })
	w.untilReady(daemon)
	w.sweeps(1)
	daemon.stop()
	w.audit()
	w.auditIntervals(w.events(0))
}

// Without Postgres nothing is asked, since nothing could be kept; with it the
// program goes on by itself.
func TestPostgresAway(t *testing.T) {
	t.Parallel()
	server := localtest.PostgresServer(t)
	w := newWorldOn(t, server.DSN(), "POLLER_HTTP_LISTEN=127.0.0.1:0", "POLLER_LEASE_TTL=3s")
	users := population(100)
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")
	w.newEvents(0, len(users))
	w.untilReady(daemon)
	server.Kill()
	w.untilRed(daemon, "postgres")
	silent := w.zim.Stats().Arrivals
	changed := map[string]zimsim.State{}
	for _, id := range among(users, zimsim.Online, 10) {
		changed[id] = zimsim.Timeout
	}
	w.set(changed)
	w.untilRed(daemon, fmt.Sprintf("lease/%d", worldApp))
	if asked := w.zim.Stats().Arrivals - silent; asked != 0 {
		t.Errorf("%d requests without a database", asked)
	}
	server.Start()
	told := w.newEvents(len(users), len(changed))
	for id := range changed {
		if len(told[id]) != 1 || told[id][0].Kind != presence.KindOffline {
			t.Errorf("%q: %d events, want that it went offline", id, len(told[id]))
		}
	}
	w.untilReady(daemon)
	daemon.stop()
	w.audit()
	w.auditIntervals(w.events(0))
}

// Several apps, each with more new users than are enrolled at once, and by the DSN
// fewer connections than they need: they do not wait for each other for ever. A
// wrong secret stops its own app alone.
func TestManyApps(t *testing.T) {
	t.Parallel()
	const apps, users = 6, 6000
	var yaml strings.Builder
	yaml.WriteString("apps:\n")
	w := newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0", "POLLER_ZIM_RATE=200")
	for app := range uint32(apps) {
		secret := worldSecret
		if app == 0 {
			secret = "wrong" + worldSecret
		}
		if _, err := w.sim.AddApp(zimsim.AppConfig{ID: app + 1, Secret: worldSecret, Rate: -1}); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&yaml, "  - {app_id: %d, server_secret: %s}\n", app+1, secret)
		w.exec(`insert into watched_users (app_id, user_id) select $1, 'user-' || n from generate_series(1, $2::int) n`, app+1, users)
	}
	file := filepath.Join(t.TempDir(), "poller.yaml")
	if err := os.WriteFile(file, []byte(yaml.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	w.env = append(without(w.env, "POLLER_ZIM_APP_ID=", "POLLER_ZIM_SERVER_SECRET=", "POLLER_DATABASE_URL="), "POLLER_CONFIG="+file,
		"POLLER_DATABASE_URL="+w.dsn+"&pool_max_conns=1") // which is too few, and is seen to
	daemon := w.start("run")
	w.until("all but the first app's users are told", func() bool {
		return w.count(`select coalesce(sum(told_seq), 0) from relay_cursors`) == (apps-1)*users
	})
	if n := w.count(`select count(*) from user_states where app_id <> 1 and status <> 'offline'`); n != 0 {
		t.Errorf("%d users who are not offline", n)
	}
	_, red := daemon.ready()
	if len(red) != 1 || !strings.Contains(red["zim/1"], "100000005") {
		t.Errorf("red checks %v, want zim/1 for its secret", red)
	}
	if asked := w.sim.App(1).Stats().Arrivals; asked >= users/200 {
		t.Errorf("%d requests with a wrong secret, want hardly any", asked)
	}
	daemon.stop()
}

func without(env []string, prefixes ...string) (kept []string) {
next:
	for _, v := range env {
		for _, p := range prefixes {
			if strings.HasPrefix(v, p) {
				continue next
			}
		}
		kept = append(kept, v)
	}
	return kept
}

// A schema that somebody else brings up is waited for, and readiness says so.
func TestNoMigrateWaitsForTheSchema(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0")
	w.exec(`drop schema public cascade`)
	w.exec(`create schema public`)
	if out, code := w.run("sweep", "--no-migrate"); code != 1 {
		t.Errorf("poller sweep --no-migrate without a schema: exit code %d, %q", code, out)
	}
	daemon := w.start("run", "--no-migrate")
	w.untilRed(daemon, "schema")
	if out, code := w.run("migrate"); code != 0 {
		t.Errorf("poller migrate: exit code %d, %q", code, out)
	}
	w.sweeps(1)
	w.untilReady(daemon)
	daemon.stop()
}

// Nobody answered is no success, and the cause is named.
func TestSweepThatSeesNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watch("a", "b")
	if err := w.sim.AddFaults(zimsim.Fault{Kind: zimsim.HTTPError, Status: 503}); err != nil {
		t.Fatal(err)
	}
	p := w.start("sweep")
	if code := p.ended(); code != 1 || !strings.Contains(strings.Join(p.lines, "\n"), "nobody of 2 was answered: ZIM answered HTTP 503") {
		t.Errorf("exit code %d, %q; want 1 and the cause", code, p.lines)
	}
	if n := len(w.events(0)); n != 0 {
		t.Errorf("%d events, want none", n)
	}
}
