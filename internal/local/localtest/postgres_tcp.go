package localtest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Access says whom a [TCPPostgres] lets in.
type Access struct {
	HBA       string // the lines of pg_hba.conf for hosts
	Cert, Key []byte // the server's, as PEM; without them it speaks no TLS
	ClientCA  []byte // who signs the certificates of clients, as PEM; nil for nobody
}

// TCPPostgres is a Postgres that listens on the loopback interface and asks who comes, as one on another machine
// does. It belongs to one test. Its methods fail the test when they cannot do what they are for, and must be called
// from its goroutine.
type TCPPostgres struct {
	t       testing.TB
	cluster *cluster
	data    string
	port    string
	lock    *os.File
	said    bytes.Buffer // by Postgres; to be read when it has ended
	stop    func()       // ends it and waits for it; nil before the start
}

// PostgresTCP starts one. It is removed after the test.
func PostgresTCP(t testing.TB, a Access) *TCPPostgres {
	t.Helper()
	c, err := newCluster()
	if err != nil {
		t.Fatalf("test postgres: %v", err)
	}
	s := &TCPPostgres{t: t, cluster: c, data: filepath.Join(c.dir, "postgres")}
	t.Cleanup(s.remove)
	// As it was made it knows no way in but its socket.
	err = c.stop()
	if err == nil {
		s.lock, err = hold(c.dir)
	}
	port := 0
	if err == nil {
		port, err = freePort("127.0.0.1")
	}
	if err != nil {
		t.Fatalf("test postgres: %v", err)
	}
	s.port = strconv.Itoa(port)
	s.write(a)
	s.start()
	return s
}

// Admin is the DSN of the superuser, over the socket.
func (s *TCPPostgres) Admin() string {
	return "postgres://poller@/poller?host=" + s.data + "&port=" + s.port + "&sslmode=disable"
}

// Addr is its host:port. The host is localhost, for certificates' sake.
func (s *TCPPostgres) Addr() string { return "localhost:" + s.port }

// Exec runs statements as the superuser.
func (s *TCPPostgres) Exec(statements ...string) {
	s.t.Helper()
	for _, statement := range statements {
		if err := execute(s.Admin(), statement); err != nil {
			s.t.Fatalf("test postgres: %v", err)
		}
	}
}

// Reload has it let in others from now on. Sessions that stand are not ended.
func (s *TCPPostgres) Reload(a Access) {
	s.t.Helper()
	s.write(a)
	loaded := "(select pg_conf_load_time())"
	before := s.value(loaded)
	s.Exec("select pg_reload_conf()")
	for deadline := time.Now().Add(startWithin); s.value(loaded) == before; {
		if time.Now().After(deadline) {
			s.t.Fatal("test postgres: does not reload")
		}
		<-time.After(10 * time.Millisecond)
	}
}

func (s *TCPPostgres) value(expression string) (text string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.Admin())
	if err != nil {
		s.t.Fatalf("test postgres: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := conn.QueryRow(ctx, "select "+expression+"::text").Scan(&text); err != nil {
		s.t.Fatalf("test postgres: %v", err)
	}
	return text
}

// write writes the files that say who is let in, as the account that Postgres runs as would.
func (s *TCPPostgres) write(a Access) {
	s.t.Helper()
	settings := "password_encryption = 'scram-sha-256'\n"
	if a.Cert != nil {
		settings += "ssl = on\nssl_cert_file = 'test.crt'\nssl_key_file = 'test.key'\n"
	}
	if a.ClientCA != nil {
		settings += "ssl_ca_file = 'test.ca'\n"
	}
	for name, content := range map[string][]byte{
		"pg_hba.conf": []byte("local all all trust\n" + a.HBA + "\n"), "postgresql.auto.conf": []byte(settings),
		"test.crt": a.Cert, "test.key": a.Key, "test.ca": a.ClientCA,
	} {
		path := filepath.Join(s.data, name)
		err := os.WriteFile(path, content, 0o600)
		if err == nil {
			_, err = asOwner(s.data, path)
		}
		if err != nil {
			s.t.Fatalf("test postgres: %v", err)
		}
	}
}

// untilInputEndsQuit is a shell's: it runs Postgres for as long as somebody holds the other end of its input, so that
// it does not outlive a test process, and lets it end its sessions then.
const untilInputEndsQuit = `"$0" "$@" & read -r _ || true; kill -QUIT $!; wait`

// start runs the program that made the data, and waits until it answers.
func (s *TCPPostgres) start() {
	s.t.Helper()
	line, err := os.ReadFile(filepath.Join(s.data, "postmaster.opts"))
	if err != nil {
		s.t.Fatalf("test postgres: %v", err)
	}
	program, _, _ := strings.Cut(string(line), ` "-D"`)
	cmd := exec.Command("sh", "-c", untilInputEndsQuit, program, "-D", s.data, //nolint:noctx // it lives as long as the test
		"-c", "listen_addresses=127.0.0.1", "-c", "port="+s.port, "-c", "unix_socket_directories="+s.data,
		"-c", "fsync=off", "-c", "log_destination=stderr", "-c", "logging_collector=off")
	cmd.Dir, cmd.Env = s.data, []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = &s.said, &s.said
	if cmd.SysProcAttr, err = asOwner(s.data, s.data); err != nil {
		s.t.Fatalf("test postgres: %v", err)
	}
	life, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.t.Fatalf("test postgres: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // that it has ended is what counts
		close(ended)
	}()
	s.stop = func() {
		_ = life.Close()
		<-ended
	}
	for deadline := time.Now().Add(startWithin); execute(s.Admin(), "select 1") != nil; {
		if time.Now().After(deadline) {
			s.stop()
			s.t.Fatalf("test postgres: does not answer:\n%s", s.said.String())
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (s *TCPPostgres) remove() {
	if s.stop != nil {
		s.stop()
	}
	if err := errors.Join(s.cluster.remove(), s.lock.Close()); err != nil {
		s.t.Errorf("test postgres: %v", err)
	}
}

// hold keeps the tests of other processes from taking the directory for an abandoned one. Whom this process forked while
// the cluster held the lock holds it as well, until its program runs.
func hold(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "postgres.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(startWithin); ; <-time.After(10 * time.Millisecond) {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(deadline) {
			return lock, err
		}
	}
}
