package localtest

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// ConfiguredNATS is a NATS server that an administrator's configuration file rules: who may connect, and how.
// It belongs to one test. Its methods fail the test when they cannot do what they are for, and must be called from
// its goroutine.
type ConfiguredNATS struct {
	t      testing.TB
	store  string
	port   int            // stays the same over restarts, once it is known
	server *server.Server // nil while stopped
}

// NATSConfigured starts a NATS server under the text of a configuration file. Where it listens and keeps its streams
// is decided here, whatever the text says of it. It is stopped after the test.
func NATSConfigured(t testing.TB, config string) *ConfiguredNATS {
	t.Helper()
	s := &ConfiguredNATS{t: t, store: t.TempDir(), port: server.RANDOM_PORT}
	s.Start(config)
	t.Cleanup(s.Stop)
	return s
}

// Addr is its host:port, which stays the same over restarts. The host is localhost, for certificates' sake.
func (s *ConfiguredNATS) Addr() string { return "localhost:" + strconv.Itoa(s.port) }

// Server is the running server, nil while it is stopped.
func (s *ConfiguredNATS) Server() *server.Server { return s.server }

// Start starts it, or stops it and starts it again, under a configuration.
func (s *ConfiguredNATS) Start(config string) {
	s.t.Helper()
	s.Stop()
	file := filepath.Join(s.t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		s.t.Fatalf("test nats: %v", err)
	}
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		s.t.Fatalf("test nats: %v", err)
	}
	opts.Host, opts.Port, opts.NoSigs, opts.NoLog = "127.0.0.1", s.port, true, true
	opts.JetStream, opts.StoreDir, opts.DisableJetStreamBanner = true, s.store, true
	ns, err := server.NewServer(opts)
	if err != nil {
		s.t.Fatalf("test nats: %v", err)
	}
	ns.Start()
	if !ns.ReadyForConnections(startWithin) {
		ns.Shutdown()
		s.t.Fatal("test nats: does not accept connections")
	}
	s.server = ns
	if addr, ok := ns.Addr().(*net.TCPAddr); ok {
		s.port = addr.Port
	}
}

// Stop stops it and waits until it has stopped.
func (s *ConfiguredNATS) Stop() {
	if s.server != nil {
		s.server.Shutdown()
		s.server.WaitForShutdown()
		s.server = nil
	}
}
