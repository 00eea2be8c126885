package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// doors are three listeners in the place of Postgres, NATS and ZIM, which count
// who knocks.
func doors(t *testing.T) (postgres, nats, zim string, knocks *atomic.Int64) {
	t.Helper()
	knocks = &atomic.Int64{}
	var opening sync.WaitGroup
	var addresses []string
	var listeners []net.Listener
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
		addresses = append(addresses, l.Addr().String())
		opening.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				knocks.Add(1)
				_ = conn.Close()
			}
		})
	}
	t.Cleanup(func() {
		for _, l := range listeners {
			_ = l.Close()
		}
		opening.Wait()
	})
	return addresses[0], addresses[1], addresses[2], knocks
}

// Config: unknown key, bad cron, rate not positive, missing secret: exit 2, every
// fault at once, nothing started.
func TestConfigFaultsStartNothing(t *testing.T) {
	t.Parallel()
	postgres, nats, zim, knocks := doors(t)
	home, file := t.TempDir(), filepath.Join(t.TempDir(), "poller.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{t: t, env: []string{
		"POLLER_CONFIG=" + file, "POLLER_DATABASE_URL=postgres://u:p@" + postgres + "/db?sslmode=disable", "POLLER_NATS_URL=nats://" + nats,
		"POLLER_ZIM_BASE_URL=http://" + zim, "POLLER_HTTP_LISTEN=", "HOME=" + home, "PATH=" + os.Getenv("PATH"),
	}}
	whole := "schedule: \"0 0 31 2 *\"\nzim:\n  app_id: 7\n  rate: 0\n  timout: 3s\n"
	for _, args := range [][]string{{"run"}, {"run", "--no-migrate"}, {"sweep"}} {
		write(whole)
		p := w.start(args...)
		if code := p.ended(); code != exitUsage {
			t.Errorf("poller %v: exit code %d, want %d", args, code, exitUsage)
		}
		said := strings.Join(p.lines, "\n")
		for _, fault := range []string{
			":1:11: schedule: there is no such date", ":4:9: zim.rate: must be from", ":5:3: zim.timout: unknown key: did you mean timeout?",
			"missing secret", "4 faults in the configuration",
		} {
			if !strings.Contains(said, fault) {
				t.Errorf("poller %v does not say %q:\n%s", args, fault, said)
			}
		}
	}
	for _, bad := range []string{
		"schedule: TZ=UTC\n", "schedule: '@every 500ms'\n", "zim: {rate: -1}\n", "zim: {rate: 0}\n", "unknown: 1\n", "zim: {app_id: 7}\n",
	} {
		write(bad)
		if out, code := w.run("run"); code != exitUsage || out != "" {
			t.Errorf("%q: exit code %d, %q; want %d and nothing", bad, code, out, exitUsage)
		}
	}
	if n := knocks.Load(); n != 0 {
		t.Errorf("%d connections to Postgres, NATS or ZIM with a configuration at fault", n)
	}
	if left, err := os.ReadDir(home); err != nil || len(left) != 0 {
		t.Errorf("%v was left behind (%v)", left, err)
	}
}

// Watched id empty, over 64 bytes, or with an illegal character: never sent;
// listed by watch list --invalid, counted, logged once; the rest goes on.
func TestInvalidIDs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0")
	users := population(50)
	w.set(users)
	w.watch(keys(users)...)
	invalid := []string{"", strings.Repeat("l", 65), "a/b", "new\nline", "ümlaut"}
	w.watch(invalid...)
	daemon := w.start("run")
	w.newEvents(0, len(users))
	w.sweeps(2)
	if n := daemon.logged("this id in the watchlist cannot be asked about"); n != len(invalid) {
		t.Errorf("%d warnings after several sweeps, want one for each of %d ids", n, len(invalid))
	}
	if n := w.metric(daemon, "poller_invalid_users"); n != float64(len(invalid)) {
		t.Errorf("poller_invalid_users %g, want %d", n, len(invalid))
	}
	w.untilReady(daemon)
	daemon.stop()
	stats := w.zim.Stats()
	if asked := w.count(`select count(*) from snapshots where app_id = $1`, worldApp) * len(users); len(stats.Refused) != 0 || int(stats.IDs) > asked+len(users) {
		t.Errorf("%d ids were sent, %d users watched; refused %v", stats.IDs, len(users), stats.Refused)
	}
	out, code := w.run("watch", "list", "--invalid")
	if code != 0 || strings.Count(out, "invalid: ") != len(invalid) {
		t.Errorf("watch list --invalid: exit code %d, %s", code, out)
	}
	w.audit()
}

// One id that fails its batch: the batch is split until the id is found; the
// others are answered in the same sweep.
func TestOneBadID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	users := population(300)
	w.set(users)
	long := strings.Repeat("x", 33) // legal by the vendor's schema, too long for its server
	w.watch(slices.Insert(keys(users), 150, long)...)
	daemon := w.start("run")
	told := w.newEvents(0, len(users))
	if len(told[long]) != 0 {
		t.Errorf("%q was told", long)
	}
	if n := w.count(`select seen from snapshots where app_id = $1 order by sweep limit 1`, worldApp); n != len(users) {
		t.Errorf("%d seen in the first sweep, want all %d others", n, len(users))
	}
	if n := w.count(`select count(*) from snapshots where app_id = $1 and (missed_count <> 1 or seen <> $2)`, worldApp, len(users)); n != 0 {
		t.Errorf("%d sweeps missed others than the one", n)
	}
	if n := daemon.logged("ZIM refuses this id; this process asks about it alone and rarely from now on"); n != 1 {
		t.Errorf("%d warnings about the id, want one", n)
	}
	refused := w.zim.Stats().Refused
	w.sweeps(3)
	for code, n := range w.zim.Stats().Refused {
		if n > refused[code]+2 {
			t.Errorf("code %s was answered %d times more in three sweeps: the id is not kept apart", code, n-refused[code])
		}
	}
	w.flips(users)
	daemon.stop()
	w.unwatch(long) // of whom there is no truth
	if out, code := w.run("sweep"); code != 0 {
		t.Errorf("exit code %d, %s", code, out)
	}
	w.audit()
}

// Watchlist empty: an honest empty sweep.
func TestEmptyWatchlist(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0")
	daemon := w.start("run")
	w.sweeps(2)
	w.untilReady(daemon)
	if n := w.count(`select count(*) from snapshots where app_id = $1 and (watched <> 0 or seen <> 0)`, worldApp); n != 0 || w.zim.Stats().Arrivals != 0 {
		t.Errorf("%d sweeps about somebody, %d requests", n, w.zim.Stats().Arrivals)
	}
	few := population(99) // not large
	w.set(few)
	w.watch(keys(few)...)
	w.newEvents(0, len(few))
	w.exec(`truncate watched_users`)
	for id, told := range w.newEvents(len(few), len(few)) {
		if told[0].Kind != presence.KindRemoved {
			t.Errorf("%q: %s, want removed", id, told[0].data)
		}
	}
	daemon.stop()
	if n := daemon.logged("half of the watchlist or more is gone at once"); n != 0 {
		t.Errorf("%d warnings for a short list", n)
	}
	w.audit()
}

// Suddenly empty after being large: refused as a likely accident until confirmed
// by config or a second look.
func TestSuddenlyEmptyWatchlist(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0")
	users := population(200)
	w.set(users)
	w.watch(keys(users)...)
	sweep := func(wantEvents int, wantSaid string, env ...string) {
		t.Helper()
		before, outer := len(w.events(0)), w.env
		w.env = slices.Concat(outer, env)
		out, code := w.run("sweep")
		w.env = outer
		if n := len(w.events(0)) - before; code != 0 || n != wantEvents || !strings.Contains(out, wantSaid) {
			t.Errorf("poller sweep: exit code %d, %d events, %q; want 0, %d, %q", code, n, out, wantEvents, wantSaid)
		}
	}
	sweep(200, "watched 200, seen 200")
	w.exec(`truncate watched_users`)
	sweep(0, "held: 200 of 200 watched users are gone from the watchlist at once, and were not removed")
	sweep(0, "held: 200 of 200") // each is a first look
	w.watch(keys(users)[:150]...)
	sweep(50, "watched 150") // not so sudden
	w.exec(`truncate watched_users`)
	w.watch("somebody else")
	w.set(map[string]zimsim.State{"somebody else": zimsim.Online})
	sweep(1, "held: 150 of 151")
	sweep(150, "watched 1,", "POLLER_WATCHLIST_ALLOW_SUDDEN_DROP=true")
	w.watch(keys(users)...)
	sweep(200, "watched 201")

	// The daemon: red at the first look, and what is true of those held is told.
	w.exec(`truncate watched_users`)
	flipped := among(users, zimsim.Online, 3)
	for _, id := range flipped {
		w.set(map[string]zimsim.State{id: zimsim.Timeout})
	}
	before := len(w.events(0))
	rarely := w.env
	w.env = slices.Concat(rarely, []string{"POLLER_SCHEDULE=@every 1h"})
	daemon := w.start("run")
	w.untilRed(daemon, fmt.Sprintf("watchlist/%d", worldApp))
	w.until("the truth about those held is told", func() bool { return len(w.events(before)) == len(flipped) })
	w.until("those held are counted, when the sweep has ended", func() bool { return w.metric(daemon, "poller_held_users_total") == 201 })
	daemon.stop()

	// The second look takes it.
	w.env, before = rarely, len(w.events(0))
	daemon = w.start("run")
	for id, told := range w.newEvents(before, 201) {
		if len(told) != 1 || told[0].Kind != presence.KindRemoved {
			t.Errorf("%q: %d events, the first %s; want removed", id, len(told), told[0].data)
		}
	}
	w.untilReady(daemon)
	daemon.stop()
	if n := daemon.logged("half of the watchlist or more is gone at once"); n != 2 {
		t.Errorf("%d warnings, want one for either look", n)
	}
	w.audit()
}
