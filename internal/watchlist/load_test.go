package watchlist

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func TestUsers(t *testing.T) {
	w, pool := open(t)
	put(t, pool, app, append(awkward, illegal...)...)
	put(t, pool, app+1, "another's")
	got, loaded := read(t, w, app)
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(slices.Values(awkward)), got); diff != "" {
		t.Errorf("Users yields (-want +got):\n%s", diff)
	}
	if loaded.Users != len(awkward) || loaded.Invalid != len(illegal) || loaded.Long != 1 || len(loaded.Examples) != len(illegal) {
		t.Errorf("Users = %+v, want %d users, 1 long, %d invalid", loaded, len(awkward), len(illegal))
	}
	want := Invalid{ID: `"line\nbreak"`, Reason: `illegal character '\n' at byte 4`}
	if !slices.Contains(loaded.Examples, want) {
		t.Errorf("Examples = %v, want %v among them", loaded.Examples, want)
	}
}

func TestUsersOfEmptyList(t *testing.T) {
	w, _ := open(t)
	if got, loaded := read(t, w, app); len(got) != 0 || !cmp.Equal(loaded, Loaded{}) {
		t.Errorf("Users of an empty list = %v, %+v, want none", got, loaded)
	}
}

func TestUsersKeepsFewExamples(t *testing.T) {
	w, pool := open(t)
	exec(t, pool, `insert into watched_users (app_id, user_id) select $1, '/' || i from generate_series(1, 500) i`, int64(app))
	put(t, pool, app, strings.Repeat("x", 1<<10))
	_, loaded := read(t, w, app)
	if loaded.Invalid != 501 || len(loaded.Examples) != mostExamples {
		t.Errorf("Users = %d invalid, %d examples, want 501 and %d", loaded.Invalid, len(loaded.Examples), mostExamples)
	}
	for _, e := range loaded.Examples {
		if len(e.ID) > mostQuotedLen+10 {
			t.Errorf("example of %d bytes, want it cut off", len(e.ID))
		}
	}
}

func TestUsersStopsAtErrorOfYield(t *testing.T) {
	w, pool := open(t)
	fill(t, pool, app, 50_000)
	enough := errors.New("enough")
	calls := 0
	_, err := w.Users(t.Context(), app, func([]byte) error {
		if calls++; calls == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || calls != 3 {
		t.Errorf("Users = %v after %d calls, want %v after 3", err, calls, enough)
	}
	if got, _ := read(t, w, app); len(got) != 50_000 {
		t.Errorf("next reading has %d ids, want 50000", len(got))
	}
}

func TestUsersErrorsWhenCutOff(t *testing.T) {
	w, pool := open(t)
	fill(t, pool, app, 200_000) // more than what the buffers on the way hold
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	loaded, err := w.Users(ctx, app, func([]byte) error {
		if seen++; seen == 100 {
			cancel()
		}
		return nil
	})
	if err == nil || !errors.Is(err, context.Canceled) {
		t.Errorf("Users cut off after %d of 200000 = %+v, %v, want an error", seen, loaded, err)
	}

	seen = 0
	_, err = w.Users(t.Context(), app, func([]byte) error {
		if seen++; seen == 100 {
			exec(t, pool, `select pg_terminate_backend(pid) from pg_stat_activity where query like 'select user_id from watched_users%'`)
		}
		return nil
	})
	if err == nil {
		t.Errorf("Users of a killed backend, %d of 200000 = nil, want an error", seen)
	}
}

// Another program reloads the list in one transaction, again and again: no reading sees the table between. So it is
// also where the database's default is an isolation in which a truncate shows through.
func TestUsersSeesReloadWhole(t *testing.T) {
	for _, isolation := range []string{"read committed", "repeatable read", "serializable"} {
		t.Run(isolation, func(t *testing.T) {
			_, pool := open(t)
			exec(t, pool, `do $$ begin execute format('alter database %I set default_transaction_isolation = `+"''"+isolation+"''"+`', current_database()); end $$`)
			w, pool := connect(t, pool.Config().ConnString())
			const n = 2000
			fill(t, pool, app, n)

			stop := make(chan struct{})
			reloads := make(chan int)
			go func() {
				count := 0
				defer func() { reloads <- count }()
				for {
					select {
					case <-stop:
						return
					default:
					}
					if err := reload(t.Context(), pool, n); err != nil {
						t.Errorf("reload: %v", err)
						return
					}
					count++
				}
			}()
			for i := range 300 {
				got, _ := read(t, w, app)
				if len(got) != n {
					t.Errorf("reading %d has %d ids, want %d", i, len(got), n)
					break
				}
			}
			close(stop)
			if count := <-reloads; count < 10 {
				t.Errorf("%d reloads during the readings, want at least 10", count)
			}
		})
	}
}

func reload(ctx context.Context, pool *pgxpool.Pool, n int) error {
	ids := numbered(n)
	return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `truncate watched_users`); err != nil {
			return err
		}
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"watched_users"}, []string{"app_id", "user_id"},
			pgx.CopyFromSlice(n, func(i int) ([]any, error) { return []any{int64(app), ids[i]}, nil }))
		return err
	})
}

// The reading waits for the lock that a truncate holds, and its snapshot is of the time after.
func TestUsersWaitsForReload(t *testing.T) {
	w, pool := open(t)
	fill(t, pool, app, 10)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `truncate watched_users`); err != nil {
		t.Fatal(err)
	}
	type reading struct {
		ids []string
		err error
	}
	done := make(chan reading, 1)
	go func() {
		var r reading
		_, r.err = w.Users(t.Context(), app, func(id []byte) error {
			r.ids = append(r.ids, string(id))
			return nil
		})
		done <- r
	}()
	waitBlocked(t, pool)
	if _, err := tx.Exec(t.Context(), `insert into watched_users (app_id, user_id) values ($1, 'new')`, int64(app)); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r.err != nil || !slices.Equal(r.ids, []string{"new"}) {
		t.Errorf("reading begun during a reload = %v, %v, want [new]", r.ids, r.err)
	}
}

// A row costs no allocation, whatever the number of rows.
func TestUsersAllocatesNothingPerRow(t *testing.T) {
	w, pool := open(t)
	const n = 20_000
	fill(t, pool, app, n)
	allocs := testing.AllocsPerRun(3, func() {
		if _, err := w.Users(t.Context(), app, func([]byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > n/10 {
		t.Errorf("a reading of %d rows allocates %.0f times, want a number that does not grow with the rows", n, allocs)
	}
}

func BenchmarkUsers(b *testing.B) {
	w, pool := open(b)
	const n = 1_000_000
	exec(b, pool, `insert into watched_users (app_id, user_id) select $1, 'user-' || lpad(i::text, 10, '0') from generate_series(1, $2::int) i`, int64(app), n)
	b.ReportAllocs()
	for b.Loop() {
		loaded, err := w.Users(b.Context(), app, func([]byte) error { return nil })
		if err != nil || loaded.Users != n {
			b.Fatalf("Users = %+v, %v", loaded, err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
