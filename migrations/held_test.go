package migrations

import (
	"context"
	"database/sql"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/internal/local/localtest"
)

func TestMain(m *testing.M) { os.Exit(localtest.Main(m).Run()) }

// before returns a database with the schema before a version.
func before(t *testing.T, version int64) (dsn string, conn *pgx.Conn) {
	t.Helper()
	dsn = localtest.Postgres(t)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	provider, err := open(db)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), version-1); err != nil {
		t.Fatal(err)
	}
	return dsn, connect(t, dsn)
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

func execute(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

const lived = `
insert into apps (app_id, last_seq, last_user_no) values (7, 2, 2);
select ensure_partitions(1);
insert into user_states (app_id, user_no, user_id, status, detail, since, observed_at, asked_at, last_seq)
values (7, 1, 'a', 'online', '', '2026-03-01', '2026-03-01', '2026-03-01', 1), (7, 2, 'b', 'offline', 'timeout', '2026-03-01', '2026-03-01', '2026-03-01', 2);
insert into transitions (app_id, seq, user_no, user_id, kind, from_status, to_status, detail, observed_at, prev_seq, sweep, log, encoding, recorded_at)
select 7, n, n, chr(96 + n), 'baseline', 'unknown', case n when 1 then 'online' else 'offline' end, '', '2026-03-01', 0, 1, '01234567', 1, now()
  from generate_series(1, 2) n`

// What was recorded before there were holds reads as what was not held back, and the view shows what it showed.
func TestHeldIsAddedToWhatIsThere(t *testing.T) {
	dsn, conn := before(t, 7)
	execute(t, conn, lived)
	const shown = `select string_agg(p::text, ' ' order by user_id) from presence p`
	var was, is string
	if err := conn.QueryRow(t.Context(), shown).Scan(&was); err != nil {
		t.Fatal(err)
	}
	if applied, err := Up(t.Context(), dsn); err != nil || len(applied) == 0 || applied[0].Version != 7 {
		t.Fatalf("applied %v, %v; want version 7 first", applied, err)
	}
	if err := conn.QueryRow(t.Context(), shown).Scan(&is); err != nil || is != was {
		t.Errorf("presence shows %s, %v; before: %s", is, err, was)
	}
	var rows, users int
	err := conn.QueryRow(t.Context(), `
		select (select count(*) from transitions where confirmed_at is null),
		       (select count(*) from user_states u where not stale and not exists (select from held_changes h where h.app_id = u.app_id and h.user_no = u.user_no))`).
		Scan(&rows, &users)
	if err != nil || rows != 2 || users != 2 {
		t.Errorf("%d rows that were not held back and %d users of whom nothing is, %v; want 2 and 2", rows, users, err)
	}
	// A day that is made from now on is like those that were there.
	execute(t, conn, `select ensure_partitions(3)`)
	execute(t, conn, `insert into transitions select app_id, 3, user_no, user_id, kind, from_status, to_status, detail, after, observed_at,
		prev_seq, sweep, log, 2, now() + interval '3 days', now() from transitions where seq = 1`)
}

// Who reads for a long time is waited for, and nobody else has to wait meanwhile.
func TestHeldWaitsWithoutHoldingOthersUp(t *testing.T) {
	dsn, conn := before(t, 7)
	execute(t, conn, lived)
	reader := connect(t, dsn)
	execute(t, reader, `begin; lock table transitions in access share mode`)
	done := make(chan error, 1)
	go func() { _, err := Up(context.WithoutCancel(t.Context()), dsn); done <- err }()
	waiting := `select exists (select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and query like '%lock table presence%' and wait_event_type = $1)`
	patience, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 3 { // it has been seen to wait for the lock, and to have given up
		for _, event := range []string{"Lock", "Timeout"} {
			for seen := false; !seen; {
				if err := conn.QueryRow(patience, waiting, event).Scan(&seen); err != nil {
					t.Fatal(err)
				}
			}
		}
		// What a commit does, which has a second.
		execute(t, conn, `set lock_timeout = '1s'; update user_states set last_seq = last_seq; update transitions set sweep = sweep`)
	}
	select {
	case err := <-done:
		t.Fatalf("the schema was changed under a reader: %v", err)
	default:
	}
	execute(t, reader, `commit`)
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("the schema is not changed a minute after the reader has ended")
	}
}

// Every table and column says what it is.
func TestEverythingIsExplained(t *testing.T) {
	dsn := localtest.Postgres(t)
	if _, err := Up(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	var bare []string
	err := connect(t, dsn).QueryRow(t.Context(), `
		select coalesce(array_agg(c.relname || '.' || a.attname order by c.relname, a.attnum), '{}')
		  from pg_class c
		  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
		 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v') and not c.relispartition
		   and c.relname not like 'poller\_migrations%' and col_description(c.oid, a.attnum) is null`).Scan(&bare)
	if err != nil || len(bare) > 0 {
		t.Errorf("without a comment: %s, %v", strings.Join(bare, ", "), err)
	}
}
