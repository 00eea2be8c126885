package stream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// greets is a server that says its version and answers pings, and nothing else: no request to it has an answer.
func greets(t *testing.T, version string) *nats.Conn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "INFO {\"server_id\":\"s\",\"version\":%q,\"max_payload\":1048576,\"headers\":true,\"jetstream\":true}\r\n", version)
		for said := bufio.NewScanner(conn); said.Scan(); {
			if strings.HasPrefix(said.Text(), "PING") {
				fmt.Fprint(conn, "PONG\r\n")
			}
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	nc, err := nats.Connect("nats://"+listener.Addr().String(), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestServerThatIsTooOld(t *testing.T) {
	for version, old := range map[string]bool{
		"2.9.10": true, "2.9.25-RC.1": true, "1.4.1": true,
		"2.10.0": false, "2.10.0-beta.1": false, "2.15.2": false, "3.0.0": false, "dev": false,
	} {
		err := TryVersion(greets(t, version))
		if _, refused := errors.AsType[*OldServerError](err); refused != old {
			t.Errorf("%s: %v, want refused: %t", version, err, old)
		}
	}
}

// An old server is asked for nothing: it would make a bucket that does not hold the last event of each user.
func TestEnsureAtAServerThatIsTooOld(t *testing.T) {
	s, err := New(greets(t, "2.9.10"), Config{AppID: 1}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	for name, ensure := range map[string]func(context.Context) ([]string, error){"events": s.Ensure, "control": s.EnsureControl} {
		_, err := ensure(t.Context())
		if e, is := errors.AsType[*OldServerError](err); !is || e.Version != "2.9.10" || e.Mend() == "" {
			t.Errorf("%s: %v, want that 2.9.10 is too old, with a mend", name, err)
		}
	}
}
