package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/zimsim"
)

// isCommit tells whether these bytes have Postgres execute a commit of the ledger,
// which is one statement. What only asks for its types has no arguments with it.
func isCommit(d localtest.Direction, data []byte) bool {
	text := []byte("insert into transitions")
	at := bytes.Index(data, text)
	if d != localtest.ToServer || at < 0 {
		return false
	}
	execute := []byte{'E', 0, 0, 0, 9, 0, 0, 0, 0, 0} // of the unnamed portal, all rows
	return bytes.Contains(data[at:], execute)
}

// A commit whose answer is lost has landed or has not, and nobody but Postgres
// knows. Either way the program goes on, and nothing is doubled or lost.
func TestCommitOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		verdict localtest.Verdict
	}{{"landed", localtest.CutAfter}, {"not landed", localtest.CutBefore}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			users := population(300)
			w.set(users)
			w.watch(keys(users)...)
			proxy, through := localtest.PostgresProxy(t, w.dsn)
			var cuts atomic.Int32
			armed := atomic.Bool{}
			proxy.SetHook(func(_ int, d localtest.Direction, data []byte) localtest.Verdict {
				if isCommit(d, data) && armed.CompareAndSwap(true, false) {
					cuts.Add(1)
					return c.verdict
				}
				return localtest.Pass
			})
			armed.Store(true) // the first commit, of everybody's baseline
			daemon := w.with("POLLER_DATABASE_URL=" + through).start("run")
			w.newEvents(0, len(users))
			want := len(users)
			for round, id := range among(users, zimsim.Online, 5) {
				armed.Store(true)
				w.set(map[string]zimsim.State{id: zimsim.Timeout})
				want++
				w.newEvents(0, want)
				if got := cuts.Load(); got != int32(round+2) {
					t.Errorf("round %d: %d commits were cut so far, want %d", round, got, round+2)
				}
			}
			if taken := daemon.logged("lease taken"); taken != 7 {
				t.Errorf("the lease was taken %d times, want again after each of 6 cuts", taken)
			}
			daemon.stop()
			w.audit()
			w.auditIntervals(w.events(0))
		})
	}
}

// What Postgres can do to the program: it never ends, says what is wrong, and goes
// on by itself when that is over, with nothing lost or doubled.
func TestPostgresSurprises(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		// fault makes trouble until the returned function is called.
		fault func(t *testing.T, w *world, server *localtest.Server, admin *pgx.Conn) (heal func())
		// red is the check that names it.
		red string
	}{
		{"stopped at once, three times", func(_ *testing.T, w *world, server *localtest.Server, _ *pgx.Conn) func() {
			for range 2 {
				server.Kill()
				server.Start()
				w.pool.Reset()
				w.sweeps(1)
			}
			server.Kill()
			return server.Start
		}, "postgres"},
		{"stopped in order", func(_ *testing.T, _ *world, server *localtest.Server, _ *pgx.Conn) func() {
			server.Stop()
			return server.Start
		}, "postgres"},
		{"read-only", func(t *testing.T, _ *world, _ *localtest.Server, admin *pgx.Conn) func() {
			do(t, admin, `alter system set default_transaction_read_only = on`, `select pg_reload_conf()`)
			return func() {
				do(t, admin, `set default_transaction_read_only = off`, `alter system reset default_transaction_read_only`, `select pg_reload_conf()`)
			}
		}, fmt.Sprintf("lease/%d", worldApp)},
		{"out of connections", func(t *testing.T, _ *world, _ *localtest.Server, admin *pgx.Conn) func() {
			do(t, admin, `alter role limited connection limit 0`, `
				select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'poller'`)
			return func() { do(t, admin, `alter role limited connection limit -1`) }
		}, "postgres"},
		{"the app's row locked", lock(`select from apps for update`), fmt.Sprintf("lease/%d", worldApp)},
		{"the ledger locked", lock(`lock table transitions in access exclusive mode`), fmt.Sprintf("stream/%d", worldApp)},
		{"the ledger locked for writing", lock(`lock table transitions in share mode`), fmt.Sprintf("ledger/%d", worldApp)},
		{"the state locked for writing", lock(`lock table user_states in share mode`), fmt.Sprintf("ledger/%d", worldApp)},
		{"the snapshots locked for writing", lock(`lock table snapshots in share mode`), fmt.Sprintf("ledger/%d", worldApp)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := localtest.PostgresServer(t)
			owner := connect(t, server.DSN())
			do(t, owner, `create role limited login`, `alter schema public owner to limited`)
			dsn := strings.Replace(server.DSN(), "//poller@", "//limited@", 1)
			w := newWorldOn(t, dsn, "POLLER_HTTP_LISTEN=127.0.0.1:0", "POLLER_LEASE_TTL=2s")
			users := population(200)
			w.set(users)
			w.watch(keys(users)...)
			daemon := w.start("run")
			w.newEvents(0, len(users))
			w.untilReady(daemon)
			settle := w.keepFlipping(users, 5)
			w.sweeps(1)

			heal := c.fault(t, w, server, owner)
			w.lasts(daemon, c.red, 6*time.Second)
			heal()

			w.pool.Reset()
			settle()
			w.sweeps(2)
			w.untilReady(daemon)
			daemon.stop()
			w.audit()
			w.auditIntervals(w.events(0))
		})
	}
}

// lasts lets a fault last, during which a check has to be red and the program must
// not end.
func (w *world) lasts(daemon *process, red string, span time.Duration) {
	w.t.Helper()
	seen := false
	for since := time.Now(); time.Since(since) < span || !seen; <-time.After(50 * time.Millisecond) {
		if _, checks := daemon.ready(); checks[red] != "" && !seen {
			seen = true
			w.t.Logf("%s is red after %s: %s", red, time.Since(since).Round(time.Millisecond), checks[red])
		}
		select {
		case <-daemon.done:
			w.t.Fatalf("the program has ended, exit code %d", daemon.code)
		default:
		}
		if time.Since(since) > patience {
			w.t.Fatalf("%s was never red", red)
		}
	}
}

// lock is a fault: a foreign transaction that holds a lock.
func lock(statement string) func(*testing.T, *world, *localtest.Server, *pgx.Conn) func() {
	return func(t *testing.T, _ *world, _ *localtest.Server, admin *pgx.Conn) func() {
		do(t, admin, `begin`, statement)
		return func() { do(t, admin, `rollback`) }
	}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func do(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := conn.Exec(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}
