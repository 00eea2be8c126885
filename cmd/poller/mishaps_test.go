package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/page"
	"github.com/zim-presence/poller/internal/zimsim"
)

// mishap is one thing that goes wrong outside, and where it shows.
type mishap struct {
	what         string // for people
	short        bool   // in make test as well
	happen, over func(*theatre)
	check        string // that turns red; empty for none
	says, mend   string // in its texts
	page         string // what the page shows, for people
	shows        func(page.Board) bool
	metrics      []string // series that move
	alerts       []string // that fire
	ends         bool     // the process goes with it
	asked        bool     // only a request can tell
}

// mishaps are the bad days, in an order in which each can follow the one before.
func mishaps() []mishap {
	idle := fmt.Sprintf("zim/%d", uint32(idleApp))
	of := func(subject string) string { return fmt.Sprintf("%s/%d", subject, uint32(worldApp)) }
	trouble := func(b page.Board) bool { return appOf(b, worldApp).Trouble != "" }
	return []mishap{
		{
			what: "ZIM cannot be reached, between two sweeps", short: true,
			happen: func(s *theatre) { s.idleZIM.Close() }, over: func(s *theatre) { s.startIdleZIM() },
			check: idle, says: "ZIM cannot be reached since", mend: "network, DNS, proxy, firewall",
			page: "the app's trouble, with the time from which it is so", shows: func(b page.Board) bool { return appOf(b, idleApp).Trouble != "" },
			metrics: []string{"poller_ready", `poller_check_ok{app="` + fmt.Sprint(uint32(idleApp)) + `",check="zim"}`}, alerts: []string{"PollerNotReady"},
		},
		{
			what: "ZIM answers every request with HTTP 503", short: true,
			happen: func(s *theatre) { s.fault("http:503") }, over: func(s *theatre) { s.sim.ClearFaults() },
			check: of("zim"), says: "HTTP 503", mend: "zim.base_url",
			page: "the app's trouble; coverage falls to 0; ages grow", shows: trouble,
			metrics: []string{"poller_ready", `result="http_5xx"`, `poller_missed_users_total{app="` + fmt.Sprint(uint32(worldApp)) + `",reason="failed"}`}, alerts: []string{"PollerZIMSilent"},
		},
		{
			what:   "ZIM takes connections and answers nothing",
			happen: func(s *theatre) { s.fault("hang") }, over: func(s *theatre) { s.sim.ClearFaults() }, asked: true,
			check: of("zim"), says: "since", mend: "zim.base_url",
			page: "the app's trouble; the sweep stands; ages grow", shows: trouble,
			metrics: []string{"poller_ready", `result="timeout"`}, alerts: []string{"PollerZIMSilent"},
		},
		{
			what:   "ZIM refuses the signature: a wrong or changed secret",
			happen: func(s *theatre) { s.fault("code:100000005") }, over: func(s *theatre) { s.sim.ClearFaults() },
			check: of("zim"), says: "100000005", mend: "check the server secret",
			page: "the app's trouble, with ZIM's code", shows: trouble,
			metrics: []string{"poller_ready", `result="100000005"`}, alerts: []string{"PollerAppRefused"},
		},
		{
			what:   "ZIM says too many requests: another program spends the limit",
			happen: func(s *theatre) { s.fault("code:660300005@0.7") }, over: func(s *theatre) { s.sim.ClearFaults() },
			page: "the rate under Budget is below the setting", shows: func(b page.Board) bool {
				budget := appOf(b, worldApp).Budget
				return budget.Rate < 0.9*budget.Setting
			},
			metrics: []string{`result="660300005"`, "poller_budget_rate"}, alerts: []string{"PollerBudgetCut"},
		},
		{
			what:   "ZIM leaves users out of its answers",
			happen: func(s *theatre) { s.fault("partial:0.3") }, over: func(s *theatre) { s.sim.ClearFaults() },
			page: "coverage falls", shows: func(b page.Board) bool {
				u := appOf(b, worldApp).Users
				return u != nil && u.Coverage != nil && *u.Coverage < 0.9
			},
			metrics: []string{`reason="absent"`, "poller_coverage_ratio"}, alerts: []string{"PollerCoverageLow"},
		},
		{
			what:   "ZIM says that nearly everybody has gone at once",
			happen: func(s *theatre) { s.fault("gone:1") }, over: func(s *theatre) { s.sim.ClearFaults() },
			page: "an incident, and how many users are held back", shows: func(b page.Board) bool { return len(appOf(b, worldApp).Incidents) > 0 },
			metrics: []string{"poller_incident_users"}, alerts: []string{"PollerIncident"},
		},
		{
			what: "The event stream was altered", short: true,
			happen: func(s *theatre) { s.change(func(c *jetstream.StreamConfig) { c.Subjects = []string{"elsewhere"} }) },
			over:   func(s *theatre) { s.change(func(*jetstream.StreamConfig) {}) },
			check:  of("stream"), says: "subjects of PRESENCE_", mend: "nats stream",
			page: "the check `stream`, with the command that mends it", metrics: []string{"poller_ready", `check="stream"`}, alerts: []string{"PollerStreamRefused"},
		},
		{
			what: "The event stream is full",
			happen: func(s *theatre) {
				s.change(func(c *jetstream.StreamConfig) { c.MaxMsgs = int64(s.info().State.Msgs) })
				s.flip()
			},
			over:  func(s *theatre) { s.change(func(*jetstream.StreamConfig) {}) },
			check: of("stream"), says: "stream is full", mend: "raise the limit",
			page: "the check `stream`; the lag grows", shows: func(b page.Board) bool { return appOf(b, worldApp).Lag.Events > 0 },
			metrics: []string{"poller_ready", "poller_lag_events"}, alerts: []string{"PollerStreamRefused"},
		},
		{
			what: "Somebody else writes to the event stream", short: true,
			happen: func(s *theatre) {
				if _, err := s.js.Publish(context.Background(), fmt.Sprintf("presence.v1.%d.online.mallory", uint32(worldApp)), []byte("{}")); err != nil {
					s.t.Fatal(err)
				}
			},
			over:  func(s *theatre) { s.removeLast() },
			check: of("stream"), says: "is no event of the poller", mend: "nats stream rmm PRESENCE_",
			page: "the check `stream`, with the command that mends it", metrics: []string{"poller_ready", `check="stream"`}, alerts: []string{"PollerStreamRefused"},
		},
		{
			what: "NATS is away", short: true,
			happen: func(s *theatre) { s.nats.Stop() }, over: func(s *theatre) { s.nats.Start() },
			check: "nats", says: "not connected", mend: "see that NATS runs",
			page: "the checks `nats` and `stream`; the lag grows with the next change", metrics: []string{"poller_ready", `check="nats"`}, alerts: []string{"PollerNATSAway"},
		},
		{
			what: "NATS is away for more than a minute, and users come and go",
			happen: func(s *theatre) {
				s.nats.Stop()
				s.flip()
			},
			over:  func(s *theatre) { s.nats.Start() },
			check: of("lag"), says: "not told yet, the oldest for", mend: "see the check stream",
			page: "the lag in events and seconds", shows: func(b page.Board) bool { return appOf(b, worldApp).Lag.Seconds > 60 },
			metrics: []string{"poller_lag_seconds", `check="lag"`}, alerts: []string{"PollerNATSAway", "PollerEventsBehind"},
		},
		{
			what:   "The network to NATS swallows everything",
			happen: func(s *theatre) { s.toNATS.Stall() }, over: func(s *theatre) { s.toNATS.Resume() },
			check: "nats", says: "not connected", mend: "see that NATS runs",
			page: "the checks `nats` and `stream`", metrics: []string{"poller_ready", `check="nats"`}, alerts: []string{"PollerNATSAway"},
		},
		{
			what: "An older backup of the database was restored: its schema", short: true,
			happen: func(s *theatre) {
				s.exec(`create table put_aside as select * from poller_migrations where version_id = (select max(version_id) from poller_migrations)`)
				s.exec(`delete from poller_migrations where version_id = (select max(version_id) from poller_migrations)`)
			},
			over: func(s *theatre) {
				s.exec(`insert into poller_migrations overriding system value select * from put_aside`)
				s.exec(`drop table put_aside`)
			},
			check: "schema", says: "older schema", mend: "poller migrate",
			page: "the check `schema`", metrics: []string{"poller_ready", `check="schema"`}, alerts: []string{"PollerNotReady"},
		},
		{
			what: "Postgres is away", short: true,
			happen: func(s *theatre) { s.postgres.Kill() }, over: func(s *theatre) { s.postgres.Start() },
			check: "postgres", says: "", mend: "see that Postgres runs",
			page: "the checks `postgres` and `lease`; nobody holds the lease, nobody is asked", shows: func(b page.Board) bool { return !appOf(b, worldApp).Lease.Held },
			metrics: []string{"poller_ready", `check="postgres"`, "poller_lease_held"}, alerts: []string{"PollerPostgresAway", "PollerNobodyPolls"},
		},
		{
			what:   "The network to Postgres swallows everything",
			happen: func(s *theatre) { s.toPostgres.Stall() }, over: func(s *theatre) { s.toPostgres.Cut(); s.toPostgres.Resume() },
			check: "postgres", says: "", mend: "see that Postgres runs",
			page: "the checks `postgres` and `lease`; nobody holds the lease", metrics: []string{"poller_ready", `check="postgres"`}, alerts: []string{"PollerPostgresAway", "PollerNobodyPolls"},
		},
		{
			what:   "Postgres only reads: a failover, or its disk is nearly full",
			happen: func(s *theatre) { s.readOnly(true) }, over: func(s *theatre) { s.readOnly(false) },
			check: of("lease"), says: "read-only transaction", mend: "the database only reads",
			page: "the check `lease`", metrics: []string{"poller_ready", "poller_lease_held"}, alerts: []string{"PollerNobodyPolls"},
		},
		{
			what:   "Ids on the watchlist cannot be asked about",
			happen: func(s *theatre) { s.watch("no\x01good", strings.Repeat("x", 65)) }, over: func(s *theatre) { s.unwatch("no\x01good", strings.Repeat("x", 65)) },
			page: "how many invalid ids there are", shows: func(b page.Board) bool {
				u := appOf(b, worldApp).Users
				return u != nil && u.Invalid == 2
			},
			metrics: []string{"poller_invalid_users"}, alerts: []string{"PollerWatchlistInvalid"},
		},
		{
			what: "Most of the watchlist is gone at once", short: true,
			happen: func(s *theatre) { s.unwatch(keys(s.users)...) }, over: func(s *theatre) { s.watch(keys(s.users)...) },
			check: of("watchlist"), says: "are gone from the watchlist at once", mend: "load the list again",
			page: "the check `watchlist`, until the next sweep finds the same", metrics: []string{"poller_held_users_total"}, alerts: []string{"PollerWatchlistDropped"},
		},
		{
			what:   "The only process dies and is not started again",
			happen: func(s *theatre) { s.daemon.kill() }, over: func(s *theatre) { s.startDaemon() }, ends: true,
			page: "there is no page", alerts: []string{"PollerDown", "PollerAbsent"},
		},
		{
			what: "The database was restored to an older state than the stream",
			happen: func(s *theatre) {
				s.flip()
				s.exec(`delete from transitions where app_id = $1 and seq > (select last_seq - 2 from apps where app_id = $1)`, worldApp)
				s.exec(`update apps set last_seq = last_seq - 2 where app_id = $1`, worldApp)
			},
			over:  func(*theatre) {}, // the last
			check: of("stream"), says: "the stream ends with event", mend: "poller adopt --app",
			page: "the check `stream`, with the command that mends it", metrics: []string{"poller_ready", `check="stream"`}, alerts: []string{"PollerStreamRefused"},
		},
	}
}

func appOf(b page.Board, id uint32) page.App {
	for _, a := range b.Apps {
		if a.App == id {
			return a
		}
	}
	return page.App{}
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
}
