package localtest

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// shared is the cluster of this test process. Being shared by the tests of a process, which have no owner
// but the process, is what it is for.
var shared struct { //nolint:gochecknoglobals // the process is its owner
	mu        sync.Mutex
	cluster   *cluster // nil until first use, and again after Main has ended it
	databases atomic.Int64
}

// Postgres returns the DSN of a new, empty database, which is dropped after the test. The Postgres behind
// it is shared by all tests of the process.
func Postgres(t testing.TB) string {
	t.Helper()
	admin, err := sharedDSN()
	if err != nil {
		t.Fatalf("test postgres: %v", err)
	}
	name := fmt.Sprintf("test_%d", shared.databases.Add(1))
	if err := execute(admin, "create database "+name); err != nil {
		t.Fatalf("test database: %v", err)
	}
	t.Cleanup(func() {
		if err := execute(admin, "drop database "+name+" with (force)"); err != nil {
			t.Errorf("test database: %v", err)
		}
	})
	dsn, err := withDatabase(admin, name)
	if err != nil {
		t.Fatalf("test database: %v", err)
	}
	return dsn
}

// sharedDSN starts the shared cluster on first use.
func sharedDSN() (string, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.cluster == nil {
		c, err := newCluster()
		if err != nil {
			return "", err
		}
		shared.cluster = c
	}
	return shared.cluster.dsn, nil
}

// Main wraps the tests of a package so that the shared Postgres is stopped and its files are removed when
// they are over. Without it that happens too, but later; with goleak it is needed:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(localtest.Main(m)) }
//	func TestMain(m *testing.M) { os.Exit(localtest.Main(m).Run()) }
func Main(m *testing.M) Tests { return Tests{m: m} }

// Tests are the tests of a package, to be run once.
type Tests struct{ m *testing.M }

// Run runs the tests, ends the shared Postgres and returns the exit code.
func (r Tests) Run() int {
	code := r.m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.cluster == nil {
		return code
	}
	if err := shared.cluster.remove(); err != nil {
		fmt.Printf("test postgres: %v\n", err)
		code = max(code, 1)
	}
	shared.cluster = nil
	return code
}

// execute runs one statement on a connection of its own.
func execute(dsn, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

func withDatabase(dsn, name string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}
