package localtest

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/local"
)

// NATSServer is a NATS server with JetStream that belongs to one test. Its methods fail the test when they
// cannot do what they are for, and must be called from its goroutine.
type NATSServer struct {
	t      testing.TB
	dir    string
	server *local.NATSServer // nil while stopped
	url    string            // stays the same over restarts
}

// NATS starts a NATS server for one test, on a free port of the loopback interface. It is stopped, and its
// store removed, after the test.
func NATS(t testing.TB) *NATSServer {
	t.Helper()
	s := &NATSServer{t: t, dir: t.TempDir()}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// URL is where clients connect to. It stays the same over restarts.
func (s *NATSServer) URL() string { return s.url }

// StoreDir is where JetStream keeps its files.
func (s *NATSServer) StoreDir() string { return filepath.Join(s.dir, "nats") }

// Start starts it again after Stop, on the same port and the same store.
func (s *NATSServer) Start() {
	s.t.Helper()
	if s.server != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	server, err := local.OpenNATS(ctx, local.NATS{
		Dir:       s.dir,
		Listen:    strings.TrimPrefix(s.url, "nats://"),
		Throwaway: true,
		Log:       zerolog.Nop(),
	})
	if err != nil {
		s.t.Fatalf("test nats: %v", err)
	}
	s.server, s.url = server, server.URL()
}

// Stop stops it and waits until it has stopped. Its clients see the connection break.
func (s *NATSServer) Stop() {
	s.t.Helper()
	if s.server == nil {
		return
	}
	if err := s.server.Close(); err != nil {
		s.t.Errorf("stop test nats: %v", err)
	}
	s.server = nil
}

// Restart stops it and starts it again.
func (s *NATSServer) Restart() {
	s.t.Helper()
	s.Stop()
	s.Start()
}
