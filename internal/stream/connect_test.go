package stream

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/local/localtest"
)

// buffer is a log that may be written while it is read.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// serve runs a NATS server with JetStream, with users or limits.
func serve(t *testing.T, opts server.Options) *server.Server {
	t.Helper()
	opts.JetStream, opts.StoreDir = true, t.TempDir()
	return serveAs(t, opts)
}

// serveAs runs a NATS server, with JetStream or without.
func serveAs(t *testing.T, opts server.Options) *server.Server {
	t.Helper()
	opts.Host, opts.NoSigs = "127.0.0.1", true
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	ns, err := server.NewServer(&opts)
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	if !ns.ReadyForConnections(time.Minute) {
		t.Fatal("the server does not start")
	}
	return ns
}

func TestConnectBeforeTheServerIsUp(t *testing.T) {
	ns := localtest.NATS(t)
	ns.Stop()
	nc := dial(t, Options{URL: ns.URL(), Log: zerolog.Nop()})
	s := open(t, nc, Config{AppID: testApp})
	if n, err := s.Append(t.Context(), 0, story(1, 2), nil); n != 0 || !errors.Is(err, ErrSurprise) {
		t.Errorf("Append = %d, %v; want 0 and a surprise", n, err)
	}
	if _, err := s.Tail(t.Context()); !errors.Is(err, ErrSurprise) {
		t.Errorf("Tail: %v, want a surprise", err)
	}
	// What is buffered would be sent when nobody expects it any more.
	if err := nc.Publish("x", nil); !errors.Is(err, nats.ErrReconnectBufExceeded) {
		t.Errorf("Publish: %v, want %v", err, nats.ErrReconnectBufExceeded)
	}
	ns.Start()
	eventually(t, "the first connection", nc.IsConnected)
	ensure(t, s)
	appendAll(t, s, story(1, 2))
}

func TestConnectRefuses(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(dir, "none")
	for name, o := range map[string]Options{
		"no server": {}, "blanks": {URL: " "}, "an empty one of two": {URL: "nats://a,"}, "no host": {URL: "nats://"},
		"a password with a slash": {URL: "nats://u:geheim/x@host:4222"}, "a token with a slash": {URL: "nats://geheim/x@host"},
		"a password with a colon and a slash": {URL: "nats://u:1/geheim@host:4222"}, "a bad port": {URL: "nats://u:geheim@host:port"},
		"a password with a hash":      {URL: "nats://geheim#x@host"},
		"a password with a percent":   {URL: "nats://u:geheim%zz@host"},
		"a password with a question?": {URL: "nats://geheim?x@host"},
		"no credentials":              {URL: "nats://127.0.0.1:1", Creds: none},
		"no ca":                       {URL: "nats://127.0.0.1:1", CA: none}, "no certificate in ca": {URL: "nats://127.0.0.1:1", CA: junk},
		"no key": {URL: "nats://127.0.0.1:1", Cert: junk}, "junk for a key": {URL: "nats://127.0.0.1:1", Cert: junk, Key: junk},
	} {
		o.Log = zerolog.Nop()
		nc, err := Connect(o)
		if err == nil {
			nc.Close()
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: a secret in %q", name, err)
		}
	}
}

func TestConnectTellsNoCredentials(t *testing.T) {
	t.Parallel()
	for name, user := range map[string]struct {
		url  string
		opts server.Options
	}{
		"password": {"nats://us%2Fer:geheim@", server.Options{Username: "us/er", Password: "geheim"}},
		"token":    {"nats://geheim@", server.Options{Authorization: "geheim"}},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := user.opts
			if wrong.Password != "" {
				wrong.Password = "another"
			} else {
				wrong.Authorization = "another"
			}
			ns := serve(t, wrong)
			addr := ns.Addr().String()
			var log buffer
			nc := dial(t, Options{URL: user.url + addr, Log: zerolog.New(&log)})
			eventually(t, "the refusal", func() bool { return strings.Contains(log.String(), "Authorization Violation") })
			eventually(t, "that it does not give up", func() bool {
				varz, err := ns.Varz(nil)
				return err == nil && varz.TotalConnections >= 5
			})
			if _, err := open(t, nc, Config{AppID: testApp}).Tail(t.Context()); !errors.Is(err, ErrSurprise) {
				t.Errorf("Tail: %v, want a surprise", err)
			}
			ns.Shutdown()
			ns.WaitForShutdown()
			user.opts.Port = nsPort(t, addr)
			ns = serve(t, user.opts)
			eventually(t, "the connection", nc.IsConnected)
			eventually(t, "the word of it", func() bool { return strings.Contains(log.String(), "nats connected") })
			ns.Shutdown()
			eventually(t, "the break", func() bool { return strings.Contains(log.String(), "nats disconnected") })
			for _, word := range []string{"geheim", "us/er", "us%2Fer"} {
				if strings.Contains(log.String(), word) {
					t.Errorf("%q in the log:\n%s", word, log.String())
				}
			}
		})
	}
}

func TestWithoutPermission(t *testing.T) {
	ns := serve(t, server.Options{Users: []*server.User{
		{Username: "all", Password: "x"},
		{Username: "reader", Password: "x", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"$JS.API.>"}}}},
		{Username: "nobody", Password: "x", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"else"}}}},
	}})
	as := func(user string) *Stream {
		s := open(t, dial(t, Options{URL: "nats://" + user + ":x@" + ns.Addr().String(), Log: zerolog.Nop()}), Config{AppID: testApp})
		s.patience = 200 * time.Millisecond
		return s
	}
	all := as("all")
	all.patience = patience
	ensure(t, all)
	reader := as("reader")
	if n, err := reader.Append(t.Context(), tail(t, reader).StreamSeq, story(1, 3), nil); n != 0 || !errors.Is(err, ErrDenied) || errors.Is(err, ErrSurprise) {
		t.Errorf("Append = %d, %v; want 0, %v", n, err, ErrDenied)
	}
	nobody := as("nobody")
	if _, err := nobody.Tail(t.Context()); !errors.Is(err, ErrDenied) || errors.Is(err, ErrSurprise) {
		t.Errorf("Tail: %v, want %v", err, ErrDenied)
	}
	if _, err := nobody.Ensure(t.Context()); !errors.Is(err, ErrDenied) {
		t.Errorf("Ensure: %v, want %v", err, ErrDenied)
	}
}

func nsPort(t *testing.T, addr string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
