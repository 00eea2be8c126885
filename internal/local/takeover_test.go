package local

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// ends are the ways in which the process that runs a part can go.
var ends = map[string]func(*testing.T, *opener){
	"in order": func(t *testing.T, o *opener) { o.finish(t) },
	"killed":   func(_ *testing.T, o *opener) { o.kill() },
}

func TestPostgresIsTakenOver(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := dataDir(t)
			owner := openElsewhere(t, "postgres", dir)
			s := open(t, dir)
			query(t, s.DSN(), "create table kept as select 7 as n")
			if s.Owned() || s.Vacant() {
				t.Errorf("owned %v, vacant %v while another process runs it, want neither", s.Owned(), s.Vacant())
			}
			end(t, owner)
			if !s.Vacant() {
				t.Error("not vacant, and its process has ended")
			}
			if err := s.TakeOver(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s.DSN() != owner.address || !s.Owned() || s.Vacant() {
				t.Errorf("DSN %s, owned %v, vacant %v; want %s, owned", s.DSN(), s.Owned(), s.Vacant(), owner.address)
			}
			if got := query(t, owner.address, "select n from kept"); got != int32(7) {
				t.Errorf("kept %v, want 7", got)
			}
			if later := openElsewhere(t, "postgres", dir); later.owned || later.address != owner.address {
				t.Errorf("the next process: owned %v at %s", later.owned, later.address)
			}
			if err := s.TakeOver(t.Context()); err != nil {
				t.Errorf("taken over once more: %v", err)
			}
		})
	}
}

func TestNATSIsTakenOver(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := dataDir(t)
			owner := openElsewhere(t, "nats", dir)
			s := openNATS(t, NATS{Dir: dir})
			conn, err := nats.Connect(s.URL(), nats.MaxReconnects(-1))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(conn.Close)
			if s.Owned() || s.Vacant() {
				t.Errorf("owned %v, vacant %v while another process runs it, want neither", s.Owned(), s.Vacant())
			}
			end(t, owner)
			if !s.Vacant() {
				t.Error("not vacant, and its process has ended")
			}
			if err := s.TakeOver(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s.URL() != owner.address || !s.Owned() || s.Vacant() {
				t.Errorf("URL %s, owned %v, vacant %v; want %s, owned", s.URL(), s.Owned(), s.Vacant(), owner.address)
			}
			for conn.Flush() != nil && t.Context().Err() == nil {
			}
			if later := openElsewhere(t, "nats", dir); later.owned || later.address != owner.address {
				t.Errorf("the next process: owned %v at %s", later.owned, later.address)
			}
		})
	}
}

// Who is connected to the old address would never hear of a part that runs elsewhere.
func TestTakenOverAtTheSameAddressOnly(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	owner := openElsewhere(t, "nats", dir)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = taken.Close() // free again
	here, there := openNATS(t, NATS{Dir: dir, Listen: taken.Addr().String()}), openNATS(t, NATS{Dir: dir})
	owner.kill()
	if err := here.TakeOver(t.Context()); err == nil || !strings.Contains(err.Error(), "at another address") {
		t.Errorf("taken over at %s: %v, want an error that names the address", taken.Addr(), err)
	}
	if b := (share{addressFile: filepath.Join(dir, "nats.url")}).published(); b != "" {
		t.Errorf("%s is published still", b)
	}
	next := openNATS(t, NATS{Dir: dir, Listen: taken.Addr().String()})
	if err := there.TakeOver(t.Context()); err == nil || !strings.Contains(err.Error(), next.URL()) || !there.Vacant() {
		t.Errorf("NATS is at %s now: %v, vacant %v", next.URL(), err, there.Vacant())
	}
}

func TestTakeOverWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	dir := dataDir(t)
	openNATS(t, NATS{Dir: dir})
	over, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("asked to stop")
	cancel(stopped)
	if err := openNATS(t, NATS{Dir: dir}).TakeOver(over); !errors.Is(err, stopped) {
		t.Errorf("%v, want %v", err, stopped)
	}
}
