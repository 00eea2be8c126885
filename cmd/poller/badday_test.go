package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/internal/zimsim"
)

// ZIM: 7, 660300005, 429: slow down for everybody (adaptive), recover by steps.
// That the rate settles at what ZIM takes is held by the tests of the budget.
func TestSlowsDownForEverybody(t *testing.T) {
	t.Parallel()
	for _, fault := range []zimsim.Fault{
		{Kind: zimsim.Code, Code: 7}, {Kind: zimsim.Code, Code: 660300005},
		{Kind: zimsim.HTTPError, Status: http.StatusTooManyRequests, RetryAfter: 3},
	} {
		t.Run(fmt.Sprint(fault.Kind, fault.Code, fault.Status), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0")
			w.zim.SetRate(-1) // the fault alone refuses, and not what a crowded machine notes late
			w.exec(`insert into watched_users (app_id, user_id) select $1, 'user-' || n from generate_series(1, 3000) n`, worldApp)
			daemon := w.start("run")
			rate := func() float64 { return w.metric(daemon, "poller_budget_rate") }
			w.until("requests at the whole rate", func() bool { return w.zim.Stats().Arrivals >= 40 })
			if got := rate(); got != 20 {
				t.Errorf("working rate %g, want the setting", got)
			}
			before := w.zim.Stats().Arrivals
			if err := w.sim.AddFaults(fault); err != nil {
				t.Fatal(err)
			}
			// However many were refused together, which counts once: it goes on until that is not all.
			w.until("a lower rate", func() bool { return rate() <= 10 })
			w.sim.ClearFaults()
			low := rate()
			w.until("recovery by steps", func() bool { return rate() >= low+2 })
			// Somewhere behind the fault nothing was sent for as long as was asked; a
			// crowded machine may note the arrival before the pause late.
			arrivals, _ := w.zim.Arrivals(before)
			var pause time.Duration
			for i := 1; i < len(arrivals); i++ {
				pause = max(pause, arrivals[i]-arrivals[i-1])
			}
			if want := max(900*time.Millisecond, time.Duration(fault.RetryAfter)*time.Second-300*time.Millisecond); pause < want {
				t.Errorf("the longest pause was %s, want %s for everybody", pause, want)
			}
			if n := w.count(`select coalesce(sum(missed_count), 0) from snapshots where app_id = $1`, worldApp); n != 0 {
				t.Errorf("%d users were missed", n)
			}
			daemon.stop()
			w.auditBudget()
		})
	}
}

// ZIM: wrong secret, ZIM not enabled: that app stops asking, one probe a minute,
// readiness red, other apps go on.
func TestRefusedAppStopsAlone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, secret string
		fault        int
		code         string
	}{
		{"wrong secret", "wrong" + worldSecret, 0, "100000005"},
		{"ZIM not enabled", worldSecret, 100000017, "100000017"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0")
			const refused = 1
			if _, err := w.sim.AddApp(zimsim.AppConfig{ID: refused, Secret: worldSecret}); err != nil {
				t.Fatal(err)
			}
			if c.fault != 0 {
				if err := w.sim.AddFaults(zimsim.Fault{Kind: zimsim.Code, Code: c.fault, App: refused}); err != nil {
					t.Fatal(err)
				}
			}
			file := filepath.Join(t.TempDir(), "poller.yaml")
			text := fmt.Sprintf("apps:\n  - {app_id: %d, server_secret: %s}\n  - {app_id: %d, server_secret: %s}\n", refused, c.secret, uint32(worldApp), worldSecret)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			w.env = append(without(w.env, "POLLER_ZIM_APP_ID=", "POLLER_ZIM_SERVER_SECRET="), "POLLER_CONFIG="+file)
			users := population(100)
			w.set(users)
			w.watch(keys(users)...)
			w.exec(`insert into watched_users (app_id, user_id) select $1, 'user-' || n from generate_series(1, 100) n`, refused)
			daemon := w.start("run")
			w.untilRed(daemon, fmt.Sprintf("zim/%d", refused))
			began, first := time.Now(), w.sim.App(refused).Stats().Arrivals
			w.newEvents(0, len(users)) // of the other app
			w.flips(users)
			w.sweeps(3)
			most := 1 + uint64(time.Since(began)/time.Minute)
			if n := w.sim.App(refused).Stats().Arrivals - first; n > most {
				t.Errorf("%d requests in %s after the refusal, want one a minute", n, time.Since(began))
			}
			if ready, red := daemon.ready(); ready || len(red) != 1 || !strings.Contains(red[fmt.Sprintf("zim/%d", refused)], c.code) {
				t.Errorf("red checks %v, want that of the refused app, with %s", red, c.code)
			}
			if n := w.count(`select count(*) from transitions where app_id = $1`, refused); n != 0 {
				t.Errorf("%d events of the refused app", n)
			}
			daemon.stop()
			w.audit()
		})
	}
}

// More due times than sweeps: one due time that falls into a running sweep is
// kept and starts the next sweep at once; further ones are skipped and counted.
// The arithmetic is held by TestSchedule of internal/poll.
func TestMoreDueTimesThanSweeps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0", "POLLER_ZIM_TIMEOUT=1m")
	users := population(50)
	w.set(users)
	w.watch(keys(users)...)
	if err := w.sim.AddFaults(zimsim.Fault{Kind: zimsim.Slow, Delay: 3500 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	daemon := w.start("run")
	w.until("three sweeps", func() bool { return w.count(`select count(*) from snapshots where app_id = $1`, worldApp) >= 3 })
	w.until("skipped due times are counted", func() bool { return w.metric(daemon, "poller_sweeps_skipped_total") >= 4 })
	if daemon.logged("the sweep lasted longer than the schedule leaves room for") < 2 {
		t.Error("skipped due times are not logged")
	}
	daemon.stop()
	if n := w.count(`select count(*) from snapshots a join snapshots b on b.app_id = a.app_id and b.sweep = a.sweep + 1
		where b.started < a.finished`); n != 0 {
		t.Errorf("%d sweeps began before the one before had ended", n)
	}
	if n := w.count(`select max(sweep) - count(*) from snapshots where app_id = $1`, worldApp); n != 0 {
		t.Errorf("%d sweeps are missing", n)
	}
	w.audit()
}

// SIGTERM: stops polling at once, finishes the commit in flight, drains for a
// bounded time, releases the lease, exit 0. The commit is held up by somebody who
// has locked its row.
func TestStopFinishesTheCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_LEASE_TTL=1m") // the statement's deadline is a part of it
	users := population(2000)
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")
	w.newEvents(0, len(users))
	err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `select from apps where app_id = $1 for update`, worldApp); err != nil {
			return err
		}
		for _, id := range among(users, zimsim.Online, 200) {
			w.set(map[string]zimsim.State{id: zimsim.LoggedOut})
			users[id] = zimsim.LoggedOut
		}
		w.until("a commit in flight", func() bool {
			return w.count(`select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%last_seq%'`) > 0
		})
		if err := daemon.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		w.until("it stops", func() bool { return daemon.logged("stopping") == 1 })
		arrived := w.zim.Stats().Arrivals
		<-time.After(time.Second) // in which nothing may happen
		if n := w.zim.Stats().Arrivals - arrived; n > 2 {
			t.Errorf("%d requests after SIGTERM", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if code := daemon.ended(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	recorded := w.count(`select last_seq from apps where app_id = $1`, worldApp)
	if recorded <= len(users) || len(w.events(0)) != recorded {
		t.Errorf("%d events recorded, %d told; want the commit that was in flight, and all told", recorded, len(w.events(0)))
	}
	if n := w.count(`select count(*) from apps where app_id = $1 and owner is null and expires_at is null`, worldApp); n != 1 {
		t.Error("the lease was not released")
	}
	if out, code := w.run("sweep"); code != 0 {
		t.Errorf("exit code %d, %s", code, out)
	}
	w.audit()
	w.auditIntervals(w.events(0))
}

// SIGTERM while NATS is away: the drain is given up after a bounded time, exit 0;
// the next start tells the rest.
func TestStopWithoutNATS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	users := population(200)
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")
	w.newEvents(0, len(users))
	w.nats.Stop()
	flipped := among(users, zimsim.Online, 20)
	for _, id := range flipped {
		w.set(map[string]zimsim.State{id: zimsim.LoggedOut})
	}
	w.until("recorded", func() bool {
		return w.count(`select last_seq from apps where app_id = $1`, worldApp) == len(users)+len(flipped)
	})
	daemon.stop()
	if n := w.count(`select count(*) from apps where app_id = $1 and owner is null`, worldApp); n != 1 {
		t.Error("the lease was not released")
	}
	w.nats.Start()
	if out, code := w.run("sweep"); code != 0 {
		t.Errorf("exit code %d, %s", code, out)
	}
	if n := len(w.events(len(users))); n != len(flipped) {
		t.Errorf("%d events after the outage, want %d", n, len(flipped))
	}
	w.audit()
}
