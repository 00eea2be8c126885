package main

import (
	"fmt"

	"github.com/zim-presence/poller/internal/page"
)

// mishapsOfPostgres are those of the database and of the way there.
func mishapsOfPostgres() []mishap {
	of := func(subject string) string { return fmt.Sprintf("%s/%d", subject, uint32(worldApp)) }
	return []mishap{
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
	}
}

// mishapsOfRestore ends with a database that is not to be used as it is.
func mishapsOfRestore() []mishap {
	of := func(subject string) string { return fmt.Sprintf("%s/%d", subject, uint32(worldApp)) }
	return []mishap{
		{
			what: "The database was restored to an older state than the stream",
			happen: func(s *theatre) {
				s.flip()
				s.exec(`delete from transitions where app_id = $1 and seq > (select last_seq - 2 from apps where app_id = $1)`, worldApp)
				s.exec(`update apps set last_seq = last_seq - 2 where app_id = $1`, worldApp)
			},
			over: func(*theatre) {}, by: func(d *drill) {
				d.sh("poller adopt --app 1234567890 --dry-run", "imported")
				d.mend()
			},
			until: []string{"poller_lag_events == 0"}, doctor: "the stream ends with event",
			check: of("stream"), says: "the stream ends with event", mend: "poller adopt --app",
			page: "the check `stream`, with the command that mends it", metrics: []string{"poller_ready", `check="stream"`}, alerts: []string{"PollerStreamRefused"},
		},
	}
}
