package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/local/localtest"
)

func TestPoolConfig(t *testing.T) {
	for dsn, want := range map[string]string{
		"postgres://u@db/p":                                         "poller",
		"host=db user=u connect_timeout=9":                          "poller",
		"postgres://u@db/p?application_name=mine&pool_max_conns=2":  "mine",
		"postgres://u@db/p?default_query_exec_mode=simple_protocol": "poller",
	} {
		got, err := poolConfig(dsn)
		if err != nil {
			t.Fatalf("poolConfig(%q): %v", dsn, err)
		}
		conn := got.ConnConfig
		if name := conn.RuntimeParams["application_name"]; name != want {
			t.Errorf("poolConfig(%q): application_name %q, want %q", dsn, name, want)
		}
		if conn.DefaultQueryExecMode != pgx.QueryExecModeCacheDescribe {
			t.Errorf("poolConfig(%q): mode %s, want cache describe", dsn, conn.DefaultQueryExecMode)
		}
		if conn.ConnectTimeout <= 0 {
			t.Errorf("poolConfig(%q): no connect timeout", dsn)
		}
	}
}

// A session must hold nothing that the next transaction would miss in another.
func TestDatabaseLeavesNothingInItsSessions(t *testing.T) {
	cfg := config{Database: databaseConfig{URL: address(localtest.Postgres(t) + "&pool_max_conns=1")}}
	db, err := openDatabase(t.Context(), cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.reach(t.Context()); err != nil {
		t.Fatal(err)
	}
	var n int
	for range 3 {
		if err := db.QueryRow(t.Context(), `select count(*) from watched_users where app_id = $1`, int64(7)).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.QueryRow(t.Context(), `select count(*) from pg_prepared_statements where $1 <> ''`, "x").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d prepared statements in the session, %v, want none", n, err)
	}
}

// Without a database configured there is one under the data directory, which keeps what was written.
func TestDatabaseEmbedded(t *testing.T) {
	dir, err := os.MkdirTemp("", "poller-embedded-*") //nolint:usetesting // t.TempDir is where the account of Postgres cannot pass
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // its account must be able to pass
		t.Fatal(err)
	}
	b := watchBench{environ: []string{"POLLER_DATA_DIR=" + dir, "POLLER_ZIM_APP_ID=7"}}
	for _, step := range []struct{ stdout, command, arg string }{{"added 1 of 1\n", "add", "alice"}, {"1\n", "count", "--app=7"}} {
		b.want(t, step.stdout, step.command, step.arg)
		if _, err := os.Stat(filepath.Join(dir, "postgres.dsn")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after watch %s: %v, want a Postgres that has stopped", step.command, err)
		}
	}
}
