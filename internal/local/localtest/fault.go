package localtest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Server is a Postgres that belongs to one test, to be stopped, killed and started again. All but DSN fail
// the test when they cannot do what they are for, and must be called from its goroutine.
type Server struct {
	t       testing.TB
	cluster *cluster
}

// PostgresServer starts a Postgres for one test alone. It is removed after the test.
func PostgresServer(t testing.TB) *Server {
	t.Helper()
	c, err := newCluster()
	if err != nil {
		t.Fatalf("test postgres: %v", err)
	}
	t.Cleanup(func() {
		if err := c.remove(); err != nil {
			t.Errorf("test postgres: %v", err)
		}
	})
	return &Server{t: t, cluster: c}
}

// DSN names its database, empty at first. It stays the same over restarts.
func (s *Server) DSN() string { return s.cluster.dsn }

// Start starts it again after Stop or Kill, and returns when it answers.
func (s *Server) Start() {
	s.t.Helper()
	if err := s.cluster.start(); err != nil {
		s.t.Fatalf("start test postgres: %v", err)
	}
}

// Stop ends its sessions and stops it, as an administrator would.
func (s *Server) Stop() {
	s.t.Helper()
	if err := s.cluster.stop(); err != nil {
		s.t.Fatalf("stop test postgres: %v", err)
	}
}

// Kill ends it with kill -9 and returns when all its processes are gone. The next Start recovers.
func (s *Server) Kill() {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
	s.cluster.mu.Lock()
	done := s.cluster.server.Done()
	s.cluster.mu.Unlock()
	<-done
	// This only gives the lock back, and tells how it ended, which is known.
	_ = s.cluster.stop()
}

// signal sends a signal to the first process of the server.
func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.cluster.dir, "postgres", "postmaster.pid"))
	if err != nil {
		s.t.Fatalf("signal test postgres: %v", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		s.t.Fatalf("signal test postgres: %v", err)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		s.t.Fatalf("signal test postgres: %v", err)
	}
}
