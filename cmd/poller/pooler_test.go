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

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/internal/local/localtest"
)

// pooled is a world in which the program finds Postgres behind a pooler that gives
// each transaction another session.
func pooled(t *testing.T, over string, env ...string) *world {
	t.Helper()
	w := newWorld(t, env...)
	pooler := localtest.NewPooler(t, w.dsn)
	dsn := pooler.DSN()
	if over == "unix" {
		dsn = pooler.SocketDSN()
	}
	w = w.with("POLLER_DATABASE_URL=" + dsn)
	w.pooler = pooler
	return w
}

// The whole job through a pooler, over both kinds of socket: users come, change and
// leave, all is told, and SIGTERM frees the lease.
func TestTheMainJobThroughAPooler(t *testing.T) {
	t.Parallel()
	for _, over := range []string{"tcp", "unix"} {
		t.Run(over, func(t *testing.T) {
			t.Parallel()
			w := pooled(t, over, "POLLER_HTTP_LISTEN=127.0.0.1:0")
			users := population(500)
			w.set(users)
			w.watch(keys(users)...)
			daemon := w.start("run")
			w.newEvents(0, len(users))
			w.untilReady(daemon)
			if named := daemon.field("lease taken", "session_named"); named != "false" {
				t.Errorf("session_named is %s: the session is the pooler's", named)
			}
			w.flips(users)
			w.comesAndGoes(users)
			w.reloads(users)
			if _, code := w.run("sweep"); code != 1 {
				t.Errorf("poller sweep beside a daemon: exit code %d, want 1", code)
			}
			daemon.stop()
			if owner := w.count(`select count(owner) from apps where app_id = $1`, worldApp); owner != 0 {
				t.Error("the lease was not released")
			}
			_, code := w.run("sweep")
			if code != 0 && w.pooler.Starts() > 1 { // it has ended in between, which is no fault of ours
				w.until("the pooler answers", func() bool { return w.pooler.Ready(t.Context()) == nil })
				_, code = w.run("sweep")
			}
			if code != 0 {
				t.Errorf("poller sweep: exit code %d, want 0", code)
			}
			w.audit()
			w.auditIntervals(w.events(0))
		})
	}
}

// Behind a pooler nobody sees that a holder was killed: its lease has to expire.
// Until then nobody polls, and then one does.
func TestStandbyBehindAPooler(t *testing.T) {
	t.Parallel()
	const ttl = 5 * time.Second
	for _, over := range []string{"tcp", "unix"} {
		for _, by := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
			t.Run(over+"/"+by.String(), func(t *testing.T) {
				t.Parallel()
				w := pooled(t, over, "POLLER_LEASE_TTL="+ttl.String(), "POLLER_ZIM_BATCH_SIZE=5", "POLLER_ZIM_RATE=10")
				users := population(80)
				w.set(users)
				w.watch(keys(users)...)
				p := &pair{world: w, turns: &turns{}}
				p.holder = w.with(p.turns.of("the first", w)).start("run")
				w.sweeps(1)
				p.settle = w.keepFlipping(users, 7)
				p.standby = w.with(p.turns.of("the other", w)).start("run")
				w.sweeps(3)
				if n := p.standby.logged("lease taken"); n != 0 {
					t.Errorf("the standby took the lease of a living holder %d times", n)
				}
				since, target := time.Now(), ttl+2*time.Second
				if by == syscall.SIGTERM {
					target = 1500 * time.Millisecond
				}
				p.holder.signal(by)
				p.holder.ended()
				took := p.goesOn(since)
				t.Logf("%s by way of %s: the standby goes on after %s; target %s", by, over, took.Round(time.Millisecond), target)
				if took > target+30*time.Second {
					t.Errorf("the standby went on after %s only", took)
				}
				p.rest(p.standby)
			})
		}
	}
}

// A holder behind a pooler is cut off in the middle of a long sweep, which writes
// nothing: only its own clocks tell it to stop before another goes on.
func TestHolderBehindAPoolerIsCutOff(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	w := pooled(t, "tcp", "POLLER_LEASE_TTL="+ttl.String(), "POLLER_ZIM_BATCH_SIZE=5", "POLLER_ZIM_RATE=10")
	users := population(200) // a sweep lasts twice the TTL
	w.set(users)
	w.watch(keys(users)...)
	p := &pair{world: w, turns: &turns{}, settle: func() {}}
	var through string
	p.proxy, through = localtest.PostgresProxy(t, w.setting("POLLER_DATABASE_URL"))
	p.holder = w.with("POLLER_DATABASE_URL="+through, p.turns.of("the first", w)).start("run")
	w.sweeps(1)
	p.standby = w.with(p.turns.of("the other", w)).start("run")
	w.sweeps(1)
	before := w.zim.Stats().Arrivals
	w.until("the next sweep is under way", func() bool { return w.zim.Stats().Arrivals > before+5 })
	p.countTerms()
	since := time.Now()
	p.proxy.Stall()
	took := p.goesOn(since)
	t.Logf("cut off behind a pooler: the standby goes on after %s; target %s", took.Round(time.Millisecond), ttl+2*time.Second)
	p.proxy.Resume()
	p.rest(p.bothAgain()...)
}

// setting returns a setting of the program's environment.
func (w *world) setting(name string) (value string) {
	for _, setting := range w.env {
		if n, v, _ := strings.Cut(setting, "="); n == name {
			value = v
		}
	}
	return value
}

// Two daemons through one pooler whose sessions are ended again and again, and with
// them whatever runs in them.
func TestPoolersSessionsTerminated(t *testing.T) {
	t.Parallel()
	w := pooled(t, "unix", "POLLER_LEASE_TTL=4s", "POLLER_ZIM_BATCH_SIZE=5", "POLLER_ZIM_RATE=10")
	users := population(80)
	w.set(users)
	w.watch(keys(users)...)
	p := &pair{world: w, turns: &turns{}}
	p.holder = w.with(p.turns.of("the first", w)).start("run")
	w.sweeps(1)
	p.settle = w.keepFlipping(users, 11)
	p.standby = w.with(p.turns.of("the other", w)).start("run")
	for range 10 {
		w.count(`
			select count(pg_terminate_backend(pid))
			  from pg_stat_activity
			 where datname = current_database() and application_name = 'poller'`)
		w.sweeps(1)
	}
	p.holder.stop() // at the latest then the other goes on
	w.sweeps(1)
	p.rest(p.standby)
}

// Several programs migrate one empty database through a pooler at once: one of them
// does, the others wait, and the schema is that of a direct way.
func TestMigrateThroughAPooler(t *testing.T) {
	t.Parallel()
	for _, over := range []string{"tcp", "unix"} {
		dsn := localtest.Postgres(t)
		pooler := localtest.NewPooler(t, dsn)
		through := map[string]string{"tcp": pooler.DSN(), "unix": pooler.SocketDSN()}[over]
		w := (&world{t: t, env: []string{"PATH=/usr/bin", "HOME=" + t.TempDir()}}).with("POLLER_DATABASE_URL=" + through)
		var migrating []*process
		for range 3 {
			migrating = append(migrating, w.start("migrate"))
		}
		for _, p := range migrating {
			if code := p.ended(); code != 0 {
				t.Errorf("poller migrate over %s: exit code %d, %s", over, code, strings.Join(p.lines, "\n"))
			}
		}
		if got, want := schema(t, dsn), schema(t, newWorld(t).dsn); !slices.Equal(got, want) {
			t.Errorf("schema over %s:\n%s\nwant\n%s", over, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// schema lists the columns of every table but the partitions, which are of today.
func schema(t *testing.T, dsn string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), `
		select format('%s %s %s', table_name, column_name, data_type)
		  from information_schema.columns
		 where table_schema = 'public' and table_name !~ '_[0-9]{8}$'
		 order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// The watchlist's import copies into a temporary table, which must not be left in a
// session that others get.
func TestImportThroughAPooler(t *testing.T) {
	t.Parallel()
	w := pooled(t, "tcp")
	var importing []*process
	for n := range 4 {
		var ids strings.Builder
		for i := range 3000 {
			fmt.Fprintf(&ids, "user-%05d\n", n*1000+i)
		}
		file := filepath.Join(t.TempDir(), "ids")
		if err := os.WriteFile(file, []byte(ids.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		importing = append(importing, w.start("watch", "import", file))
	}
	for _, p := range importing {
		if code := p.ended(); code != 0 {
			t.Errorf("poller watch import: exit code %d, %s", code, strings.Join(p.lines, "\n"))
		}
	}
	if n := w.count(`select count(*) from watched_users where app_id = $1`, worldApp); n != 6000 {
		t.Errorf("%d users, want 6000", n)
	}
}
