package local

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

// childMode tells this test program to be another process of the same program: see opener.
const childMode = "LOCAL_TEST_OPEN"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		os.Exit(openUntilToldToStop(mode, os.Getenv("LOCAL_TEST_DIR")))
	}
	goleak.VerifyTestMain(m)
}

// openUntilToldToStop opens a part, prints whether it owns it and where it is, and closes it when its
// input ends.
func openUntilToldToStop(mode, dir string) int {
	var (
		address string
		owned   bool
		stop    func() error
		err     error
	)
	switch mode {
	case "postgres":
		var s *PostgresServer
		if s, err = OpenPostgres(context.Background(), Postgres{Dir: dir, Throwaway: true}); err == nil {
			address, owned, stop = s.DSN(), s.Owned(), s.Close
		}
	case "nats":
		var s *NATSServer
		if s, err = OpenNATS(context.Background(), NATS{Dir: dir}); err == nil {
			address, owned, stop = s.URL(), s.Owned(), s.Close
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(owned, address)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// opener is another process that has opened a part.
type opener struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	owned   bool
	address string
}

// openElsewhere opens a part in a process of its own and returns when it is open there.
func openElsewhere(t *testing.T, mode, dir string) *opener {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childMode+"="+mode, "LOCAL_TEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o := &opener{cmd: cmd, stdin: stdin}
	t.Cleanup(o.kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("%s in another process: %v", mode, err)
	}
	owned, address, _ := strings.Cut(strings.TrimSpace(line), " ")
	o.owned, o.address = owned == "true", address
	return o
}

// kill ends the process with kill -9. It does not wait for what the process had started.
func (o *opener) kill() {
	if o.cmd.ProcessState == nil {
		_ = o.cmd.Process.Kill()
		_ = o.cmd.Wait()
	}
}

// finish lets the process close the part and end.
func (o *opener) finish(t *testing.T) {
	t.Helper()
	_ = o.stdin.Close()
	if err := o.cmd.Wait(); err != nil {
		t.Errorf("other process: %v", err)
	}
}

// dataDir is a new directory that any account may pass through, unlike that of t.TempDir.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "poller-local-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// open opens a throwaway Postgres that is closed after the test.
func open(t *testing.T, dir string) *PostgresServer {
	t.Helper()
	s, err := OpenPostgres(t.Context(), Postgres{Dir: dir, Throwaway: true, Log: zerolog.New(zerolog.NewTestWriter(t))})
	if err != nil {
		t.Fatalf("open postgres: %v", err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s interface{ Close() error }) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// query runs a statement on a connection of its own and returns its one value, if it has one.
func query(t *testing.T, dsn, statement string) any {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("connect to %s: %v", dsn, err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(t.Context(), statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer rows.Close()
	var v any
	for rows.Next() {
		if err := rows.Scan(&v); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return v
}
