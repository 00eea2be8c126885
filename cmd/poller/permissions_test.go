package main

import (
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/zimsim"
)

// permissions returns what the operations manual shows under Permissions: the blocks of SQL, and the NATS server's
// configuration, for the app of the tests.
func permissions(t *testing.T) (sql []string, config string) {
	t.Helper()
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(manual), "\n## Permissions\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, block := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(section, -1) {
		text := strings.ReplaceAll(block[2], "1234567890", strconv.Itoa(worldApp))
		if block[1] == "sql" {
			sql = append(sql, text)
		} else {
			config += text
		}
	}
	if len(sql) != 4 || config == "" {
		t.Fatalf("the manual shows %d blocks of SQL and the configuration %q, want 4 and one", len(sql), config)
	}
	return sql, config
}

// as is the DSN of a role, over the socket, where nobody asks for a password.
func as(s *localtest.TCPPostgres, role, database string) string {
	return strings.Replace(s.Admin(), "poller@/poller", role+"@/"+database, 1)
}

// refused runs a statement as the owner of a DSN and wants no permission for it.
func refused(t *testing.T, dsn, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), statement)
	var said *pgconn.PgError
	const denied, viewOfTwo = "42501", "55000" // nobody can write to a view of two tables
	if !errors.As(err, &said) || said.Code != denied && said.Code != viewOfTwo {
		t.Errorf("%s: %v, want no permission", statement, err)
	}
}

// statements runs the statements of a block as the owner of a DSN.
func statements(t *testing.T, dsn, block string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for statement := range strings.SplitSeq(block, ";\n") {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// The whole program works with the permissions that the manual gives, in Postgres and in NATS, and with no more.
func TestLeastPermissions(t *testing.T) {
	t.Parallel()
	sql, config := permissions(t)
	db := localtest.PostgresTCP(t, localtest.Access{HBA: "host all all all reject"})
	// The superuser of a private Postgres has the name that the manual gives to the daemon's role.
	db.Exec("create role root superuser login")
	statements(t, as(db, "root", "poller"), "alter role poller rename to nobody_else")
	root := as(db, "root", "poller")
	statements(t, root, sql[0])
	// As a database is whose schema comes from a version before 15.
	statements(t, as(db, "root", "presence"), "alter schema public owner to root;\ngrant create on schema public to public")
	statements(t, as(db, "root", "presence"), sql[1])
	owner, daemonDSN := as(db, "poller_owner", "presence"), as(db, "poller", "presence")

	// Beside the users of the manual there is one for the test, which looks on.
	server := localtest.NATSConfigured(t, strings.Replace(config, "users: [", "users: [ { user: admin, password: secret },", 1))
	// Nothing here waits for a lease to expire.
	w := newWorldOn(t, owner, "POLLER_HTTP_LISTEN=127.0.0.1:0", "POLLER_LEASE_TTL=5m",
		"POLLER_CALLBACK_LISTEN=127.0.0.1:0", "POLLER_ZIM_CALLBACK_SECRET="+callbackSecret)
	w.env = append(w.env, "POLLER_DATABASE_URL="+owner)
	if out, code := w.run("migrate"); code != 0 {
		t.Fatalf("poller migrate: exit code %d, %s", code, out)
	}
	statements(t, owner, sql[2])
	statements(t, root, "create role backend login;\ncreate role analyst login;\ncreate role historian login;\ncreate role replayer login;\ncreate role auditor login;\ncreate role support login;\n"+
		"grant connect on database presence to backend, analyst, historian, replayer, auditor, support")
	statements(t, owner, sql[3])

	w.env = append(w.env, "POLLER_DATABASE_URL="+daemonDSN, "POLLER_NATS_URL=nats://poller:secret@"+server.Addr())
	w.js = connectAs(t, server, "admin")
	users := population(100)
	w.set(users)
	backend := as(db, "backend", "presence")
	statements(t, backend, "insert into watched_users (app_id, user_id) select "+strconv.Itoa(worldApp)+", unnest(array['"+strings.Join(keys(users), "','")+"'])")
	daemon := w.start("run", "--no-migrate")
	w.untilReady(daemon)
	w.newEvents(0, len(users))
	if n := w.count(`select count(*) from pg_class where relname like 'transitions_2%' and relkind = 'r' and relowner = 'poller_owner'::regrole`); n != 8 {
		t.Errorf("the daemon has made %d partitions in their owner's name, want 8", n)
	}
	changed := among(users, zimsim.Online, 5)
	for _, id := range changed {
		w.set(map[string]zimsim.State{id: zimsim.LoggedOut})
	}
	w.newEvents(len(users), len(changed))
	// A restart after kill -9 sees that the session is gone: both have one role.
	daemon.kill()
	first := daemon
	daemon = w.start("run", "--no-migrate")
	statements(t, backend, "delete from watched_users where user_id = '"+changed[0]+"'")
	w.newEvents(len(users)+len(changed), 1)
	w.untilReady(daemon)
	daemon.stop()
	w.audit()
	w.auditControls()
	checked := w.doctor(0, nil)
	checked.wants(verdictOK, "rights", "role poller")
	checked.wants(verdictOK, "nats rights")
	checked.wants(verdictOK, "query")
	for _, role := range []string{"poller", "historian"} {
		w.env = append(w.env, "POLLER_DATABASE_URL="+as(db, role, "presence"))
		if out, code := w.run("state", "-o", "count"); code != 0 || !strings.Contains(out, "\noffline ") {
			t.Errorf("poller state as %s: exit code %d, %s", role, code, out)
		}
	}
	for _, role := range []string{"poller", "support"} {
		w.env = append(w.env, "POLLER_DATABASE_URL="+as(db, role, "presence"))
		if out, code := w.run("plan"); code != 0 || !strings.Contains(out, "; the last one took ") {
			t.Errorf("poller plan as %s: exit code %d, %s", role, code, out)
		}
	}
	w.verifiesAs(db, server)
	w.consumesAs(server)
	w.replaysAs(db, server)
	w.explainsAs(db, server, changed[2])
	w.erasesAs(owner, daemonDSN, server, changed[1])
	w.env = append(w.env, "POLLER_DATABASE_URL="+daemonDSN)
	// An empty database adopts what was told: by hand, as the tables' owner, with the poller's user at NATS.
	w.exec(`truncate apps, user_states, transitions, snapshots, relay_cursors, erasures`)
	epoch := w.count(`select coalesce(sum(epoch), 0) from apps`)
	for _, args := range [][]string{{"--dry-run"}, nil} {
		if _, p := w.adopt(1, args...); !strings.Contains(p.said(), "delete on transitions") || !strings.Contains(p.said(), "the role that owns the tables") {
			t.Errorf("poller adopt %v as the daemon's role does not name the remedy", args)
		}
	}
	if now := w.count(`select coalesce(sum(epoch), 0) from apps`); now != epoch {
		t.Errorf("the lease was taken: epoch %d, want %d", now, epoch)
	}
	w.env = append(w.env, "POLLER_DATABASE_URL="+owner)
	w.adopt(0)
	w.env = append(w.env, "POLLER_DATABASE_URL="+daemonDSN)
	w.run("sweep", "--no-migrate")
	w.audit()

	w.refusedInPostgres(db)
	w.handsOn(connectAs(t, server, "poller").Conn())
	w.refusedInNATS(connectAs(t, server, "reader"), connectAs(t, server, "poller"))
	w.mends(connectAs(t, server, "admin"), connectAs(t, server, "operator"))
	for line := range strings.SplitSeq(first.said()+"\n"+daemon.said(), "\n") {
		if strings.Contains(line, "ermission") {
			t.Errorf("a permission is missing: %s", line)
		}
	}
}

// refusedInPostgres tries what a program that was taken over might.
func (w *world) refusedInPostgres(db *localtest.TCPPostgres) {
	t := w.t.(*testing.T)
	for role, tries := range map[string][]string{
		"poller": {
			"delete from transitions", "update transitions set seq = 0", "truncate transitions", "drop table transitions",
			"delete from snapshots", "update snapshots set seq = 0", "delete from user_states", "delete from apps", "delete from relay_cursors",
			"insert into watched_users values (1, 'a')", "delete from watched_users", "update poller_migrations set version_id = 0",
			"create table public.t ()", "create temporary table t ()", "create schema s", "alter table transitions add x int",
			"drop function ensure_partitions(integer)", "set role poller_owner",
			"drop function prune_transitions(interval, boolean)", "select transitions_held('transitions')",
		},
		"backend": {
			"update watched_users set user_id = 'b'", "truncate watched_users", "select from presence", "select from transitions",
			"select from user_states", "select ensure_partitions(1)",
			"select prune_transitions('90 days', false)", "select thin_snapshots(1, '1 day', '1 day', '1 day', false)",
		},
		"analyst": {
			"select from watched_users", "select from user_states", "select from apps", "select from snapshots", "delete from transitions",
			"insert into transitions default values", "update presence set status = 'online'", "select ensure_partitions(1)",
			"select prune_transitions('90 days', false)", "select thin_snapshots(1, '1 day', '1 day', '1 day', false)",
		},
		"historian": {
			"select from watched_users", "delete from snapshots", "insert into transitions default values", "update apps set owner = ''",
			"create temporary table t ()",
		},
		"support": {
			"delete from watched_users", "update held_changes set status = 'online'", "insert into transitions default values", "select from erasures",
			"create temporary table t ()",
		},
	} {
		for _, statement := range tries {
			refused(t, as(db, role, "presence"), statement)
		}
	}
	// More days ahead than anybody needs would be a way to fill the catalogue; what is of today nobody may drop.
	conn, err := pgx.Connect(t.Context(), as(db, "poller", "presence"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, ahead := range []string{"32", "-1", "null"} {
		if _, err := conn.Exec(t.Context(), "select ensure_partitions("+ahead+")"); err == nil {
			t.Errorf("ensure_partitions(%s) is no error", ahead)
		}
	}
	for _, call := range []string{"prune_transitions('1 hour', false)", "thin_snapshots(1, '1 hour', '1 day', '1 day', false)"} {
		if _, err := conn.Exec(t.Context(), "select "+call); err == nil {
			t.Errorf("%s is no error", call)
		}
	}
}
