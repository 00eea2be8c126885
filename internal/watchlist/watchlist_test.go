package watchlist

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/migrations"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(localtest.Main(m)) }

const app = 12345

// awkward ids are legal, and break what is careless with subjects, quotes, patterns or widths.
var awkward = []string{"a.b", "x>y", "two words", " leading", "=2E", "100%", "a_b%", "$1", "{}", "0123456789abcdef0123456789abcdef",
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}

// illegal ids can stand in the table, since other programs write it.
var illegal = []string{"", "a/b", "naïve", "line\nbreak", "a,b", `"`, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefX"}

// open returns a watchlist in a fresh database. The pool works as behind a pooler: it names no prepared statement.
func open(t testing.TB) (*Watchlist, *pgxpool.Pool) {
	t.Helper()
	dsn := localtest.Postgres(t)
	if _, err := migrations.Up(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	return connect(t, dsn)
}

func connect(t testing.TB, dsn string) (*Watchlist, *pgxpool.Pool) {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return New(pool), pool
}

func exec(t testing.TB, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// put writes ids as another program does: past every check.
func put(t testing.TB, pool *pgxpool.Pool, app uint32, ids ...string) {
	t.Helper()
	exec(t, pool, `insert into watched_users (app_id, user_id) select $1, unnest($2::text[])`, int64(app), ids)
}

// fill makes the list u1 to un.
func fill(t testing.TB, pool *pgxpool.Pool, app uint32, n int) {
	t.Helper()
	exec(t, pool, `insert into watched_users (app_id, user_id) select $1, 'u' || i from generate_series(1, $2::int) i`, int64(app), n)
}

// read is everything that Users yields.
func read(t testing.TB, w *Watchlist, app uint32) ([]string, Loaded) {
	t.Helper()
	var ids []string
	loaded, err := w.Users(t.Context(), app, func(id []byte) error {
		ids = append(ids, string(id))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids, loaded
}

func TestCount(t *testing.T) {
	w, pool := open(t)
	put(t, pool, app, append(awkward, illegal...)...)
	put(t, pool, app+1, "another's")
	got, err := w.Count(t.Context(), app)
	if want := len(awkward) + len(illegal); err != nil || got != want {
		t.Errorf("Count = %d, %v, want %d", got, err, want)
	}
}

func TestEndedContext(t *testing.T) {
	w, pool := open(t)
	fill(t, pool, app, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func() error{
		"Users":  func() error { _, err := w.Users(ctx, app, func([]byte) error { return nil }); return err },
		"Count":  func() error { _, err := w.Count(ctx, app); return err },
		"Add":    func() error { _, err := w.Add(ctx, app, []string{"x"}); return err },
		"Remove": func() error { _, err := w.Remove(ctx, app, []string{"u1"}); return err },
		"Import": func() error { _, err := w.Import(ctx, app, entries("x"), false, nil); return err },
		"List": func() (err error) {
			for _, err = range w.List(ctx, app) {
			}
			return err
		},
	}
	for name, call := range calls {
		if err := call(); err == nil {
			t.Errorf("%s with an ended context = nil, want an error", name)
		}
	}
	if n, err := w.Count(t.Context(), app); n != 10 || err != nil {
		t.Errorf("afterwards Count = %d, %v, want 10", n, err)
	}
}

// waitBlocked returns when a backend of this database waits for a lock.
func waitBlocked(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	for {
		var blocked bool
		err := pool.QueryRow(t.Context(), `
			select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')`).Scan(&blocked)
		if err != nil {
			t.Fatal(err)
		}
		if blocked {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal("nobody waits for a lock")
		case <-time.After(time.Millisecond):
		}
	}
}

func numbered(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("user-%08d", i)
	}
	return ids
}
