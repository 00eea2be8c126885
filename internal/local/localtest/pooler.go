package localtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Pooler is a pgbouncer in transaction mode that belongs to one test: each transaction through it may run in
// another session of its Postgres.
type Pooler struct {
	dir, host string
	port      int
	database  url.URL
}

// poolerConfig knows every database of one Postgres, and asks nobody who they are.
const poolerConfig = `[databases]
* = host=%s port=%d user=%s

[pgbouncer]
pool_mode = transaction
auth_type = any
listen_addr = %s
listen_port = %d
unix_socket_dir = %s
max_client_conn = 200
default_pool_size = %d
`

// untilInputEnds is a shell's: it runs a program for as long as somebody holds the other end of its input, so
// that the program does not outlive a test process, however that ends. One that ends before is started again, as a
// supervisor does: pgbouncer 1.18 may end with "bad client state" when a client leaves while its statement is cancelled.
const untilInputEnds = `(while :; do "$0" "$@"; sleep 0.1; done) & read -r _ || true; kill -9 0`

// poolerSessions are what all clients of a pooler share.
const poolerSessions = 8

// NewPooler starts a pgbouncer before the Postgres of a DSN. It ends with the test. One that is not installed
// fails the test: scripts/need-pgbouncer installs it.
func NewPooler(t testing.TB, dsn string) *Pooler {
	t.Helper()
	p, err := newPooler(t, dsn)
	if err != nil {
		t.Fatalf("test pgbouncer: %v", err)
	}
	return p
}

func newPooler(t testing.TB, dsn string) (*Pooler, error) {
	program, err := findPooler()
	if err != nil {
		return nil, err
	}
	server, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	p := &Pooler{host: "127.0.0.1", database: url.URL{Scheme: "postgres", User: url.User(server.User), Path: "/" + server.Database}}
	if p.dir, err = os.MkdirTemp("", "pooler"); err != nil { //nolint:usetesting // t.TempDir may be too long for a socket
		return nil, err
	}
	t.Cleanup(func() { _ = os.RemoveAll(p.dir) })
	if p.port, err = freePort(p.host); err != nil {
		return nil, err
	}
	config := filepath.Join(p.dir, "pgbouncer.ini")
	text := fmt.Sprintf(poolerConfig, server.Host, server.Port, server.User, p.host, p.port, p.dir, poolerSessions)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil { //nolint:gosec // it is read by the account of Postgres
		return nil, err
	}
	cmd := exec.Command("sh", "-c", untilInputEnds, program, config) //nolint:noctx // it lives as long as the test
	life, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if cmd.SysProcAttr, err = asOwner(server.Host, p.dir); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		_ = life.Close()
		_ = cmd.Wait() // it was killed, as it says
		if said, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("log of pgbouncer:\n%s", said[max(0, len(said)-5000):])
		}
	})
	return p, p.Ready(t.Context())
}

// DSN leads through the pooler over TCP.
func (p *Pooler) DSN() string { return p.through(p.host) }

// SocketDSN leads through the pooler over its Unix socket.
func (p *Pooler) SocketDSN() string { return p.through(p.dir) }

func (p *Pooler) through(host string) string {
	u := p.database
	u.RawQuery = url.Values{"host": {host}, "port": {strconv.Itoa(p.port)}, "sslmode": {"disable"}}.Encode()
	return u.String()
}

// Starts counts how often the pooler was started: more than once where it has ended in between.
func (p *Pooler) Starts() int {
	said, _ := os.ReadFile(filepath.Join(p.dir, "log"))
	return strings.Count(string(said), "process up")
}

// Ready waits until the pooler answers over both sockets.
func (p *Pooler) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for _, dsn := range []string{p.DSN(), p.SocketDSN()} {
		for {
			conn, err := pgx.Connect(ctx, dsn)
			if err == nil {
				_ = conn.Close(ctx) // it has answered
				break
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				said, _ := os.ReadFile(filepath.Join(p.dir, "log"))
				return fmt.Errorf("%w: %w\n%s", ctx.Err(), err, said)
			}
		}
	}
	return nil
}

// findPooler looks where distributions put it, which for an ordinary account may not be in the PATH.
func findPooler() (string, error) {
	if path, err := exec.LookPath("pgbouncer"); err == nil {
		return path, nil
	}
	for _, path := range []string{"/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer", "/opt/homebrew/bin/pgbouncer"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("pgbouncer is not installed: run scripts/need-pgbouncer")
}

// asOwner lets a program run as the owner of a directory, who may use the Postgres socket in it, and gives it
// another one. pgbouncer refuses to be root, as Postgres does.
func asOwner(socketDir, own string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setpgid: true}
	st, err := os.Stat(socketDir)
	if err != nil {
		return nil, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok || int(sys.Uid) == os.Geteuid() {
		return attr, nil
	}
	attr.Credential = &syscall.Credential{Uid: sys.Uid, Gid: sys.Gid}
	return attr, os.Chown(own, int(sys.Uid), int(sys.Gid))
}

// freePort returns a port on which nobody listens at the moment.
func freePort(host string) (int, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0")) //nolint:noctx // it returns at once
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	addr, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("a port on %s: %s", host, listener.Addr())
	}
	return addr.Port, nil
}
