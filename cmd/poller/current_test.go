package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/migrations"
)

// What only looks, and what drops or erases, makes neither a database nor a table, and says what is missing.
func TestNoSchemaIsMadeByTheWay(t *testing.T) {
	t.Parallel()
	commands := [][]string{
		{"state"}, {"plan"}, {"verify"}, {"replay", "list"}, {"replay", "--dry-run"}, {"prune", "--dry-run"}, {"prune"},
		{"forget", "user", "--dry-run"}, {"forget", "user", "--yes"}, {"adopt", "--dry-run"},
	}
	refused := func(says string, database string) {
		t.Helper()
		for _, args := range commands {
			var out, said bytes.Buffer
			environ := []string{database, "POLLER_NATS_URL=nats://127.0.0.1:1", "POLLER_ZIM_APP_ID=7", "POLLER_ZIM_SERVER_SECRET=" + strings.Repeat("0", 32)}
			if code := execute(t.Context(), args, environ, &out, &said); code != 1 || !strings.Contains(said.String(), says) {
				t.Errorf("poller %v: exit code %d, %q; want 1 and %q", args, code, said.String(), says)
			}
		}
	}
	dir := t.TempDir()
	refused("there is no database in "+dir+": is POLLER_DATA_DIR (data_dir) the daemon's?", "POLLER_DATA_DIR="+dir)
	if made, err := os.ReadDir(dir); err != nil || len(made) > 0 {
		t.Errorf("%v was made, %v", made, err)
	}

	dsn := localtest.Postgres(t)
	refused("the database has no tables of the poller: is the DSN right? if so: poller migrate", "POLLER_DATABASE_URL="+dsn)
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	var tables int
	if err := db.QueryRow(t.Context(), `select count(*) from pg_class where relnamespace = 'public'::regnamespace`).Scan(&tables); err != nil || tables != 0 {
		t.Errorf("%d tables were made, %v", tables, err)
	}

	if _, err := migrations.Up(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), `delete from poller_migrations where version_id > 4`); err != nil {
		t.Fatal(err)
	}
	refused("the schema is older than this program: poller migrate", "POLLER_DATABASE_URL="+dsn)
}

func TestHelpIsNamed(t *testing.T) {
	for want, args := range map[string][]string{
		"(poller --help tells more)":             {"stat"},
		"(poller state --help tells more)":       {"state", "--at", "noon"},
		"(poller watch --help tells more)":       {"watch"},
		"(poller replay list --help tells more)": {"replay", "list", "--all"},
	} {
		var out, said bytes.Buffer
		if code := execute(t.Context(), args, nil, &out, &said); code != exitUsage || !strings.Contains(said.String(), want) {
			t.Errorf("poller %v: exit code %d, %q; want %d and %q", args, code, said.String(), exitUsage, want)
		}
	}
}
