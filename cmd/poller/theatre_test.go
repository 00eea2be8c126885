package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/zimsim"
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
	base       string      // of its HTTP
	bin        string      // where the program is, for a shell
	config     string      // its file
	alarms     *prometheus // nil but in a long run
	second     *process    // another daemon
	secondAt   string      // its HTTP
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
	s.bin, s.config = program(t), filepath.Join(t.TempDir(), "poller.yaml")
	s.write(fmt.Sprintf("zim: {rate: 20}\napps:\n  - {app_id: %d, server_secret: %s, schedule: '@every 2s'}\n  - {app_id: %d, server_secret: %s, schedule: '@every 1h', base_url: 'http://%s'}\n",
		uint32(worldApp), worldSecret, idleApp, worldSecret, s.idleAt))
	s.env = append(without(s.env, "POLLER_ZIM_APP_ID=", "POLLER_ZIM_SERVER_SECRET=", "POLLER_SCHEDULE=", "POLLER_DATABASE_URL=", "POLLER_NATS_URL=", "POLLER_HTTP_LISTEN="),
		"POLLER_CONFIG="+s.config, "POLLER_DATABASE_URL="+through, "POLLER_NATS_URL="+s.toNATS.Through(s.nats.URL()), "POLLER_LEASE_TTL=3s",
		"POLLER_HTTP_LISTEN="+strings.TrimPrefix(s.base, "http://"), "POLLER_PLAUSIBILITY_MAX_OFFLINE_SHARE=0.5")
	s.set(s.users)
	s.watch(keys(s.users)...)
	s.exec(`insert into watched_users (app_id, user_id) values ($1, 'idle')`, idleApp)
	s.startDaemon()
	s.asMade = s.info().Config
	return s
}

// write writes the configuration.
func (s *theatre) write(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// edit puts this in the place of that in the configuration.
func (s *theatre) edit(that, this string) {
	s.t.Helper()
	text, err := os.ReadFile(s.config)
	if err != nil || !strings.Contains(string(text), that) {
		s.t.Fatalf("the configuration has no %q: %v\n%s", that, err, text)
	}
	s.write(strings.ReplaceAll(string(text), that, this))
}

// reload has the daemon read its configuration again, and waits until it says this.
func (s *theatre) reload(says string) {
	s.t.Helper()
	before := s.daemon.logged(says)
	if err := s.daemon.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
	s.until("the log says "+says, func() bool { return s.daemon.logged(says) > before })
}

// anyAddress returns one that nobody listens on.
func anyAddress(t testing.TB) string {
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
	s.until("the address of the idle app's ZIM is free", func() bool { // another test may have a connection from it
		s.idleZIM = zimsim.New(zimsim.Config{Apps: []zimsim.AppConfig{{ID: idleApp, Secret: worldSecret}}, Seed: 7})
		return s.idleZIM.Start(context.Background(), s.idleAt, "") == nil
	})
	s.idleAt = strings.TrimPrefix(s.idleZIM.URL(), "http://")
	s.whole.Cleanup(s.idleZIM.Close)
}

// launch starts the daemon, and waits for nothing.
func (s *theatre) launch() {
	s.t.Helper()
	row := s.world.t
	s.world.t = s.whole // it outlives the row
	s.daemon = s.start("run")
	s.world.t = row
}

func (s *theatre) startDaemon() {
	s.t.Helper()
	s.launch()
	s.untilReady(s.daemon)
	s.untilTold()
}

// untilTold waits until the stream ends with the newest event.
func (s *theatre) untilTold() {
	s.t.Helper()
	s.until("all is told", func() bool {
		ctx, done := context.WithTimeout(context.Background(), time.Second)
		defer done()
		stream, err := s.js.Stream(ctx, badStreamName)
		if err != nil {
			return false
		}
		last, err := stream.GetLastMsgForSubject(ctx, fmt.Sprintf("presence.v1.%d.>", s.appID))
		newest := s.count(`select last_seq from apps where app_id = $1`, worldApp)
		return err == nil && newest >= len(s.users) && last.Header.Get("Presence-Seq") == fmt.Sprint(newest)
	})
}

// join has a second daemon, with this in its environment, poll or stand by, and be scraped.
func (s *theatre) join(env ...string) {
	s.t.Helper()
	s.startSecond(env...)
	s.until("it is scraped", func() bool { return s.alarms.holds("count(poller_build_info) == 2") })
}

func (s *theatre) startSecond(env ...string) {
	s.t.Helper()
	s.secondAt = "http://" + anyAddress(s.whole)
	row, own := s.world.t, s.env
	defer func() { s.world.t, s.env = row, own }()
	s.world.t = s.whole
	s.env = slices.Concat(own, env, []string{"POLLER_HTTP_LISTEN=" + strings.TrimPrefix(s.secondAt, "http://")}) // the last of a name counts
	s.second = s.start("run")
	s.alarms.scrape(s.t, strings.TrimPrefix(s.base, "http://"), strings.TrimPrefix(s.secondAt, "http://"))
}

// part has the second daemon be one no more.
func (s *theatre) part() {
	s.t.Helper()
	if s.second.cmd.ProcessState == nil {
		s.second.stop()
	}
	s.alarms.scrape(s.t, strings.TrimPrefix(s.base, "http://"))
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
	n := s.turn()
	s.until("the changes are recorded", func() bool {
		return s.count(`select last_seq from apps where app_id = $1`, worldApp) >= before+n
	})
}

// turn has ten users come or go.
func (s *theatre) turn() int {
	s.t.Helper()
	from, to := zimsim.Online, zimsim.LoggedOut
	if s.flipped = !s.flipped; !s.flipped {
		from, to = zimsim.LoggedOut, zimsim.Online
	}
	states := map[string]zimsim.State{}
	for _, id := range among(s.users, from, 10) {
		states[id], s.users[id] = to, to
	}
	s.set(states)
	return len(states)
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

// fault has the simulated ZIM of the first app do this, and nothing else.
func (s *theatre) fault(text string) {
	s.t.Helper()
	faults, err := zimsim.ParseFaults(text)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.sim.AddFaults(faults...); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.sim.ClearFaults() }) // also where the row has failed
}
