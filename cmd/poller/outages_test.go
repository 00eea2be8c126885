package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/page"
	"github.com/zim-presence/poller/internal/zimsim"
)

var (
	outagesLong = flag.Bool("outages", false, "every outage, with a real Prometheus and the alert rules: make outages")
	outagesDocs = flag.String("outages.docs", "", "the file into which the table of outages is written; empty writes none")
)

// idleApp is asked about once an hour: what shows of it shows between sweeps.
const idleApp = 7

// theatre is a world with a daemon of two apps in it, of which one is idle, and with
// everything that can be taken away from it.
type theatre struct {
	*world
	whole      testing.TB // of all of it; the world's is that of the row that is played
	postgres   *localtest.Server
	toPostgres *localtest.Proxy
	toNATS     *localtest.Proxy
	idleZIM    *zimsim.Server
	idleAt     string // its address
	users      map[string]zimsim.State
	daemon     *process
	asMade     jetstream.StreamConfig
	base       string // of its HTTP
	flipped    bool
}

func newTheatre(t *testing.T) *theatre {
	t.Helper()
	server := localtest.PostgresServer(t)
	s := &theatre{world: newWorldOn(t, server.DSN()), postgres: server, users: population(400), whole: t}
	s.startIdleZIM()
	var through string
	s.toPostgres, through = localtest.PostgresProxy(t, s.dsn)
	s.toNATS = localtest.NewProxy(t, "tcp", strings.TrimPrefix(s.nats.URL(), "nats://"))
	s.base = "http://" + anyAddress(t)
	file := filepath.Join(t.TempDir(), "poller.yaml")
	text := fmt.Sprintf("apps:\n  - {app_id: %d, server_secret: %s, schedule: '@every 2s'}\n  - {app_id: %d, server_secret: %s, schedule: '@every 1h', base_url: 'http://%s'}\n",
		uint32(worldApp), worldSecret, idleApp, worldSecret, s.idleAt)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.env = append(without(s.env, "POLLER_ZIM_APP_ID=", "POLLER_ZIM_SERVER_SECRET=", "POLLER_SCHEDULE=", "POLLER_DATABASE_URL=", "POLLER_NATS_URL=", "POLLER_HTTP_LISTEN="),
		"POLLER_CONFIG="+file, "POLLER_DATABASE_URL="+through, "POLLER_NATS_URL="+s.toNATS.Through(s.nats.URL()), "POLLER_LEASE_TTL=3s",
		"POLLER_HTTP_LISTEN="+strings.TrimPrefix(s.base, "http://"), "POLLER_PLAUSIBILITY_MAX_OFFLINE_SHARE=0.5")
	s.set(s.users)
	s.watch(keys(s.users)...)
	s.exec(`insert into watched_users (app_id, user_id) values ($1, 'idle')`, idleApp)
	s.startDaemon()
	s.asMade = s.info().Config
	return s
}

// anyAddress returns one that nobody listens on.
func anyAddress(t *testing.T) string {
	t.Helper()
	address, err := freeAddress(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func (s *theatre) startIdleZIM() {
	s.t.Helper()
	if s.idleAt == "" {
		s.idleAt = "127.0.0.1:0"
	}
	s.idleZIM = zimsim.New(zimsim.Config{Apps: []zimsim.AppConfig{{ID: idleApp, Secret: worldSecret}}, Seed: 7})
	if err := s.idleZIM.Start(context.Background(), s.idleAt, ""); err != nil {
		s.t.Fatal(err)
	}
	s.idleAt = strings.TrimPrefix(s.idleZIM.URL(), "http://")
	s.whole.Cleanup(s.idleZIM.Close)
}

func (s *theatre) startDaemon() {
	s.t.Helper()
	row := s.world.t
	s.world.t = s.whole // it outlives the row
	s.daemon = s.start("run")
	s.world.t = row
	s.untilReady(s.daemon)
	s.until("all is told", func() bool { return s.info().State.Msgs >= uint64(len(s.users)) })
}

func (s *theatre) info() *jetstream.StreamInfo {
	s.t.Helper()
	stream, err := s.js.Stream(context.Background(), badStreamName)
	if err != nil {
		return &jetstream.StreamInfo{}
	}
	return stream.CachedInfo()
}

func (s *theatre) change(change func(*jetstream.StreamConfig)) {
	s.t.Helper()
	c := s.asMade
	change(&c)
	if _, err := s.js.UpdateStream(context.Background(), c); err != nil {
		s.t.Fatal(err)
	}
}

// removeLast removes the newest message of the stream, and of the bucket.
func (s *theatre) removeLast() {
	s.t.Helper()
	stream, err := s.js.Stream(context.Background(), badStreamName)
	if err == nil {
		err = stream.DeleteMsg(context.Background(), stream.CachedInfo().State.LastSeq)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// flip has ten users come or go, and waits until that is in the ledger.
func (s *theatre) flip() {
	s.t.Helper()
	before := s.count(`select last_seq from apps where app_id = $1`, worldApp)
	from, to := zimsim.Online, zimsim.LoggedOut
	ids := among(s.users, from, 10)
	if s.flipped = !s.flipped; !s.flipped {
		from, to = zimsim.LoggedOut, zimsim.Online
		ids = among(s.users, from, 10)
	}
	states := map[string]zimsim.State{}
	for _, id := range ids {
		states[id], s.users[id] = to, to
	}
	s.set(states)
	s.until("the changes are recorded", func() bool {
		return s.count(`select last_seq from apps where app_id = $1`, worldApp) >= before+len(ids)
	})
}

// readOnly has every transaction of the whole server only read, or not any more.
func (s *theatre) readOnly(on bool) {
	s.t.Helper()
	conn, err := s.pool.Acquire(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Release()
	setting := "alter system reset default_transaction_read_only"
	if on {
		setting = "alter system set default_transaction_read_only = on"
	}
	for _, statement := range []string{"set default_transaction_read_only = off", setting, "select pg_reload_conf()", "reset default_transaction_read_only"} {
		if _, err := conn.Exec(context.Background(), statement); err != nil {
			s.t.Fatalf("%s: %v", statement, err)
		}
	}
}

func (s *theatre) get(path string, into any) error {
	resp, err := http.Get(s.base + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}

// readyCheck is a check as /readyz has it.
type readyCheck struct {
	Name, Error, Mend string
	OK                bool
}

func (s *theatre) look(name string) readyCheck {
	var answer struct{ Checks []readyCheck }
	if err := s.get("/readyz", &answer); err != nil {
		return readyCheck{}
	}
	for _, c := range answer.Checks {
		if c.Name == name {
			return c
		}
	}
	return readyCheck{}
}

// series returns the values of all series.
func (s *theatre) series() map[string]string {
	values := map[string]string{}
	resp, err := http.Get(s.base + "/metrics")
	if err != nil {
		return values
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	for _, line := range strings.Split(string(text), "\n") {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			values[line[:i]] = line[i+1:]
		}
	}
	return values
}

// moved waits until a series with these words has another value than before.
func (s *theatre) moved(words string, before map[string]string) {
	s.t.Helper()
	s.until("a series moves: "+words, func() bool {
		for name, value := range s.series() {
			if strings.Contains(name, words) && before[name] != value {
				return true
			}
		}
		return false
	})
}

// seen has a mishap happen, follows it to where it shows, and returns how long it took
// until the check was red.
func (s *theatre) seen(m mishap, watch func(began time.Time)) (took time.Duration) {
	s.t.Helper()
	before, began := s.series(), time.Now()
	m.happen(s)
	var red readyCheck
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
	watch(began)
	m.over(s)
	return took
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
		p = newPrometheus(t, strings.TrimPrefix(s.base, "http://"))
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
	if p != nil {
		s.until("earlier alerts are over", func() bool { return !p.active(m.alerts) })
	}
	var fired []string
	took := s.seen(m, func(began time.Time) {
		if p != nil {
			fired = p.fire(s.t, began, m.alerts)
		}
	})
	s.t.Logf("%s red after %.2f s, alerts %v", m.check, took.Seconds(), fired)
	most := 10 * time.Second
	if m.asked {
		most += 2 * time.Second // the schedule: nothing shows before a request
	}
	if *outagesLong && took > most && !strings.HasPrefix(m.check, "lag/") {
		s.t.Errorf("%s was red after %s, want %s at the most", m.check, took, most)
	}
	if !strings.Contains(m.mend, "poller adopt") {
		s.untilReady(s.daemon)
	}
	return took
}
