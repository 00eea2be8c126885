package localtest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/zim-presence/poller/internal/local/localtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(localtest.Main(m), localtest.ServerLeaks()) }

// connect returns a connection that is closed after the test.
func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("connect to %s: %v", dsn, err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func value[T any](t *testing.T, conn *pgx.Conn, query string) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(t.Context(), query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func execute(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestPostgresGivesEachTestItsOwnDatabase(t *testing.T) {
	for range 3 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			conn := connect(t, localtest.Postgres(t))
			execute(t, conn, "create table only_here (n int)")
			if got := value[int](t, conn, "select count(*)::int from pg_tables where schemaname = 'public'"); got != 1 {
				t.Errorf("tables in a new database: got %d, want the one made here", got)
			}
			if got := value[string](t, conn, "show max_connections"); got != "200" {
				t.Errorf("max_connections: got %s, want 200", got)
			}
			if got := value[string](t, conn, "show fsync"); got != "off" {
				t.Errorf("fsync: got %s, want off", got)
			}
		})
	}
}

func TestServerKeepsDataAndAddressOverFaults(t *testing.T) {
	server := localtest.PostgresServer(t)
	dsn := server.DSN()
	execute(t, connect(t, dsn), "create table kept (n int)")
	for name, fault := range map[string]func(){"stop": server.Stop, "kill": server.Kill} {
		conn := connect(t, dsn)
		execute(t, conn, "insert into kept values (1)")
		before := value[int](t, conn, "select count(*)::int from kept")
		fault()
		if _, err := pgx.Connect(t.Context(), dsn); err == nil {
			t.Errorf("after %s: it still answers", name)
		}
		server.Start()
		if got := server.DSN(); got != dsn {
			t.Errorf("after %s: DSN got %s, want %s", name, got, dsn)
		}
		if got := value[int](t, connect(t, dsn), "select count(*)::int from kept"); got != before {
			t.Errorf("after %s: rows got %d, want %d", name, got, before)
		}
	}
}

func TestNATSKeepsDataAndAddressOverRestart(t *testing.T) {
	server := localtest.NATS(t)
	reconnected := make(chan struct{}, 1)
	nc, err := nats.Connect(server.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond),
		nats.ReconnectHandler(func(*nats.Conn) { reconnected <- struct{}{} }))
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	defer func() { nc.Close(); <-closed }()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("x")); err != nil {
		t.Fatal(err)
	}
	url := server.URL()

	server.Restart()

	if got := server.URL(); got != url {
		t.Errorf("URL after a restart: got %s, want %s", got, url)
	}
	select {
	case <-reconnected:
	case <-t.Context().Done():
		t.Fatal("the client did not come back")
	}
	s, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.CachedInfo().State.Msgs; got != 1 {
		t.Errorf("messages after a restart: got %d, want 1", got)
	}

	server.Stop()
	if _, err := nats.Connect(url); !errors.Is(err, nats.ErrNoServers) {
		t.Errorf("connect after stop: got %v, want %v", err, nats.ErrNoServers)
	}
}
