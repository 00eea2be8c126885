package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/internal/page"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/migrations"
)

// mishapsOfPostgres are those of the database and of the way there.
func mishapsOfPostgres() []mishap {
	of := func(subject string) string { return fmt.Sprintf("%s/%d", subject, uint32(worldApp)) }
	polled := []string{"sum by (app) (poller_lease_held) == 1"}
	written := []string{`absent(poller_check_ok{check="ledger"})`}
	nobody := func(b page.Board) bool { return !appOf(b, worldApp).Lease.Held }
	const alive = `psql "$POLLER_DATABASE_URL" -c 'select 1'`
	return []mishap{
		{
			what: "An older backup of the database was restored: its schema", short: true,
			happen: func(s *theatre) { s.olderSchema() },
			over: func(s *theatre) {
				if _, err := migrations.Up(context.Background(), s.dsn); err != nil {
					s.t.Fatal(err)
				}
			},
			check: "schema", says: "older schema", mend: "poller migrate",
			page: "the check `schema`", metrics: []string{"poller_ready", `check="schema"`}, alerts: []string{"PollerNotReady"},
			doctor: "schema", by: func(d *drill) { d.mend("") },
		},
		{
			what: "Postgres is away", short: true,
			happen: func(s *theatre) { s.postgres.Kill() }, over: func(s *theatre) { s.postgres.Start() },
			check: "postgres", says: "", mend: "see that Postgres runs",
			page: "the checks `postgres` and `lease`; nobody holds the lease, nobody is asked", shows: nobody,
			metrics: []string{"poller_ready", `check="postgres"`, "poller_lease_held"}, alerts: []string{"PollerPostgresAway", "PollerNobodyPolls"},
			doctor: "connection", look: func(d *drill) { d.sh(alive, "failed") }, until: polled,
		},
		{
			what:   "The network to Postgres swallows everything",
			happen: func(s *theatre) { s.toPostgres.Stall() }, over: func(s *theatre) { s.toPostgres.Cut(); s.toPostgres.Resume() },
			check: "postgres", says: "", mend: "see that Postgres runs",
			page: "the checks `postgres` and `lease`; nobody holds the lease", metrics: []string{"poller_ready", `check="postgres"`}, alerts: []string{"PollerPostgresAway", "PollerNobodyPolls"},
			doctor: "connection", until: polled,
		},
		{
			what:   "Postgres only reads: a failover, or its disk is nearly full",
			happen: func(s *theatre) { s.readOnly(true) }, over: func(s *theatre) { s.readOnly(false) },
			check: of("lease"), says: "read-only transaction", mend: "the database only reads",
			page: "the check `lease`", metrics: []string{"poller_ready", "poller_lease_held"}, alerts: []string{"PollerNobodyPolls"},
			doctor: "writable", until: polled,
		},
		{
			what:   "Somebody locks the ledger: an index is made, or a transaction was left open",
			happen: func(s *theatre) { s.lock(); s.turn() }, over: func(s *theatre) { s.exec(endLocks) },
			check: of("ledger"), says: "timeout: context deadline exceeded", mend: "see who holds a lock",
			page: "the check `ledger`", metrics: []string{"poller_ready", `check="ledger"`}, alerts: []string{"PollerLedgerRefused"},
			look: func(d *drill) { d.sql(whoBlocks, "an index is made", "ShareLock") },
			by: func(d *drill) {
				d.quoted("select pg_terminate_backend(12345);")
				d.shell(`psql "$POLLER_DATABASE_URL" -c "select pg_terminate_backend(`+d.blocker()+`)"`, "t")
			},
			until: written,
		},
		{
			what:   "The disk of Postgres is full",
			happen: func(s *theatre) { s.smallDisk(); s.everybodyTurns() }, over: func(s *theatre) { s.largerDisk() },
			check: of("ledger"), says: "No space left on device", mend: "make room on the disk of Postgres",
			page: "the check `ledger`", metrics: []string{"poller_ready", `check="ledger"`, "poller_lease_epoch"}, alerts: []string{"PollerLedgerRefused", "PollerLeaseFlaps"},
			look: func(d *drill) {
				d.sh("poller prune --dry-run", "to be freed")
				d.logs("the term has ended; going for the lease again")
			},
			until: append(written, "changes(poller_lease_epoch[10s]) == 0"),
		},
		{
			what:   "A grant is missing in Postgres",
			happen: func(s *theatre) { s.asClerk(); s.exec("revoke insert on snapshots from clerk") }, over: func(s *theatre) { s.exec("grant insert on snapshots to clerk") },
			check: of("ledger"), says: "permission denied for table snapshots", mend: "Permissions",
			page: "the check `ledger`", metrics: []string{"poller_ready", `check="ledger"`, "poller_lease_epoch"}, alerts: []string{"PollerLedgerRefused", "PollerLeaseFlaps"},
			doctor: "lacks insert on snapshots", by: func(d *drill) {
				grant := regexp.MustCompile(`grant insert on .*;`).FindString(d.sh("poller doctor", "as the role that owns the tables"))
				d.shell(`psql '`+d.dsn+`' -c "`+grant+`"`, "GRANT") // as the owner
				d.as("poller")                                      // poller verify wants to read more than the daemon's role may
			},
			until: append(written, "changes(poller_lease_epoch[10s]) == 0"),
		},
		{
			what:   "Another process has taken the lease of an app, of which Prometheus does not know",
			happen: func(s *theatre) { s.stranger() }, over: func(s *theatre) { s.second.stop() },
			page: "who holds the lease, and that this process waits", shows: func(b page.Board) bool {
				l := appOf(b, idleApp).Lease
				return !l.Held && l.Holder != ""
			},
			metrics: []string{"poller_lease_held", `state="standby"`}, alerts: []string{"PollerNobodyPolls"},
			look: func(d *drill) {
				d.sql("select app_id, owner, epoch, expires_at from apps order by app_id;", fmt.Sprintf(":%d:", d.second.cmd.Process.Pid))
			},
			until: polled,
		},
		{
			what:   "Days of the ledger are past their age, and something needs them",
			happen: func(s *theatre) { s.givenUpApp(); s.restart() }, over: func(*theatre) {},
			page: "nothing", metrics: []string{"poller_ledger_held_partitions"}, alerts: []string{"PollerPastHeld"},
			look: func(d *drill) { d.sh("poller prune --dry-run", "kept: app 99: event 5 has not been told") },
			by: func(d *drill) {
				d.shell(`psql "$POLLER_DATABASE_URL" -c "`+d.block("delete from transitions where app_id = 1234567890;", "99")+`"`, "DELETE 1")
				d.restart()
			},
			until: []string{"poller_ledger_held_partitions == 0"},
		},
	}
}

// mishapsOfRestore ends with a database that is not to be used as it is.
func mishapsOfRestore() []mishap {
	of := func(subject string) string { return fmt.Sprintf("%s/%d", subject, uint32(worldApp)) }
	return []mishap{
		{
			what:   "The database was restored to an older state than the stream",
			happen: func(s *theatre) { s.restoreOlder() },
			over:   func(*theatre) {}, by: func(d *drill) {
				d.sh("poller adopt --app 1234567890 --dry-run", "imported")
				d.mend()
			},
			until: []string{"poller_lag_events == 0"}, doctor: "the stream ends with event",
			check: of("stream"), says: "the stream ends with event", mend: "poller adopt --app",
			page: "the check `stream`, with the command that mends it", metrics: []string{`check="stream"`}, alerts: []string{"PollerStreamRefused"},
		},
	}
}

// olderSchema takes back what the newest migration made.
func (s *theatre) olderSchema() {
	s.t.Helper()
	s.exec(`begin;
		drop view presence;
		drop table held_changes;
		alter table transitions drop column confirmed_at;
		alter table user_states drop column stale;
		create view presence as select app_id, user_id, status, detail, since, observed_at from user_states;
		delete from poller_migrations where version_id = 7;
		commit`)
	if n := s.count(`select max(version_id) from poller_migrations`); n != 6 {
		s.t.Fatalf("the schema is that of version %d, want 6: there is a newer migration to be taken back", n)
	}
}

// What the runbook says of locks, and who holds one here.
const (
	whoBlocks = "select a.pid, a.usename, a.application_name, a.state, a.xact_start, l.mode, l.relation::regclass, left(a.query, 60) as query from pg_locks l join pg_stat_activity a using (pid) where l.granted and l.mode not like 'AccessShare%' and l.database = (select oid from pg_database where datname = current_database()) and l.relation::regclass::text ~ '(^|[.])(apps|user_states|transitions|snapshots|held_changes)' order by a.xact_start;"
	endLocks  = `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'an index is made'`
)

// lock takes the lock that making an index takes.
func (s *theatre) lock() {
	s.t.Helper()
	conn, err := pgx.Connect(context.Background(), s.dsn)
	if err == nil {
		_, err = conn.Exec(context.Background(), `set application_name = 'an index is made'; begin; lock table transitions in share mode`)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close(context.Background()) })
}

// blocker is the process id of who is in the way.
func (d *drill) blocker() string {
	out := d.shell(`psql -At "$POLLER_DATABASE_URL" -c "` + whoBlocks + `"`)
	pid, _, _ := strings.Cut(out, "|")
	return strings.TrimSpace(pid)
}

// everybodyTurns has everybody come or go who can.
func (s *theatre) everybodyTurns() {
	s.t.Helper()
	for id, state := range s.users {
		if s.users[id] = zimsim.LoggedOut; state != zimsim.Online {
			s.users[id] = zimsim.Online
		}
	}
	s.set(s.users)
}

// givenUpApp leaves an event of 95 days ago that nobody has been told, of an app that
// nobody is configured for.
func (s *theatre) givenUpApp() {
	s.t.Helper()
	day := time.Now().UTC().Add(-95 * 24 * time.Hour).Truncate(24 * time.Hour)
	s.exec(fmt.Sprintf(`create table if not exists transitions_%s partition of transitions for values from ('%s') to ('%s')`,
		day.Format("20060102"), day.Format(time.RFC3339), day.Add(24*time.Hour).Format(time.RFC3339)))
	s.exec(`insert into apps (app_id, last_seq) values (99, 5)`)
	s.exec(`insert into transitions (app_id, seq, user_no, user_id, kind, from_status, to_status, detail, after, observed_at, prev_seq, sweep, log, encoding, recorded_at)
	        select 99, 5, user_no, user_id, kind, from_status, to_status, detail, after, observed_at, prev_seq, sweep, log, encoding, $1
	          from transitions where app_id = $2 and seq = 1`, day.Add(time.Hour), worldApp)
}
