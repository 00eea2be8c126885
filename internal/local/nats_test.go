package local

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

func openNATS(t *testing.T, n NATS) *NATSServer {
	t.Helper()
	s, err := OpenNATS(t.Context(), n)
	if err != nil {
		t.Fatalf("open nats: %v", err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

// jetStream returns a client with the stream S on subject s, disconnected after the test.
func jetStream(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	closed := make(chan struct{})
	nc, err := nats.Connect(url, nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); <-closed })
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	return js
}

func messages(t *testing.T, js jetstream.JetStream) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func publish(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	if _, err := js.Publish(t.Context(), "s", []byte("x")); err != nil {
		t.Fatal(err)
	}
}

func TestNATSKeepsDataOverRestart(t *testing.T) {
	for _, throwaway := range []bool{false, true} {
		t.Run(fmt.Sprintf("throwaway=%v", throwaway), func(t *testing.T) {
			n := NATS{Dir: t.TempDir(), Throwaway: throwaway, Log: zerolog.New(zerolog.NewTestWriter(t))}
			for restarts := range uint64(3) {
				begun := time.Now()
				s := openNATS(t, n)
				t.Logf("start %d: %v", restarts, time.Since(begun))
				if !s.Owned() {
					t.Errorf("start %d: not owned", restarts)
				}
				js := jetStream(t, s.URL())
				if got := messages(t, js); got != restarts {
					t.Errorf("start %d: messages got %d, want %d", restarts, got, restarts)
				}
				publish(t, js)
				stop(t, s)
				stop(t, s) // again is no fault
			}
		})
	}
}

func TestNATSStartsAtOnceAfterKilledParent(t *testing.T) {
	dir := t.TempDir()
	for round := range uint64(4) {
		other := openElsewhere(t, "nats", dir)
		js := jetStream(t, other.address)
		publish(t, js)
		other.kill()

		s := openNATS(t, NATS{Dir: dir})
		if !s.Owned() {
			t.Errorf("round %d: not owned, but its owner is dead", round)
		}
		if got := messages(t, jetStream(t, s.URL())); got != round+1 {
			t.Errorf("round %d: messages got %d, want %d", round, got, round+1)
		}
		stop(t, s)
	}
}

func TestNATSIsShared(t *testing.T) {
	dir := t.TempDir()
	owner := openElsewhere(t, "nats", dir)
	user := openElsewhere(t, "nats", dir)
	if !owner.owned || user.owned {
		t.Errorf("owned: got %v and %v, want only the first", owner.owned, user.owned)
	}
	if owner.address != user.address {
		t.Errorf("URL: got %s and %s, want the same", owner.address, user.address)
	}
	user.finish(t)
	here := openNATS(t, NATS{Dir: dir, Listen: "256.0.0.0:1"}) // of no effect: it runs already
	if here.Owned() {
		t.Error("owned by this process too")
	}
	publish(t, jetStream(t, here.URL()))
	owner.finish(t)
	if s := openNATS(t, NATS{Dir: dir}); !s.Owned() {
		t.Error("after the owner has ended: not owned")
	}
}

func TestNATSAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for _, tt := range []struct {
		listen string
		want   string // part of the error; empty: starts
		taken  bool
	}{
		{"", "", false},
		{"127.0.0.1:0", "", false},
		{"127.0.0.1:-1", "", false},
		{"0.0.0.0:0", "", false},
		{taken.Addr().String(), taken.Addr().String(), true},
		{"127.0.0.1", "missing port", false},
		{"127.0.0.1:65536", "65536", false},
		{"127.0.0.1:nats", "nats", false},
		{"203.0.113.1:0", "203.0.113.1", false}, // not an address of this machine
	} {
		s, err := OpenNATS(t.Context(), NATS{Dir: t.TempDir(), Listen: tt.listen})
		if tt.want == "" {
			if err != nil {
				t.Errorf("%q: got %v, want no error", tt.listen, err)
				continue
			}
			if !strings.HasPrefix(s.URL(), "nats://127.0.0.1:") {
				t.Errorf("%q: URL got %s, want it on the loopback address", tt.listen, s.URL())
			}
			stop(t, s)
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want an error with %q", tt.listen, err, tt.want)
		}
		var known *TakenError
		if got := errors.As(err, &known); got != tt.taken {
			t.Errorf("%q: TakenError got %v, want %v (%v)", tt.listen, got, tt.taken, err)
		}
		if tt.taken && (known.Address != tt.listen || !errors.Is(err, syscall.EADDRINUSE)) {
			t.Errorf("%q: got address %s and cause %v", tt.listen, known.Address, known.Err)
		}
	}
}

func TestNATSFailedStartCanBeRepeated(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := NATS{Dir: t.TempDir(), Listen: taken.Addr().String()}
	if _, err := OpenNATS(t.Context(), n); err == nil {
		t.Fatal("started on a taken address")
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	if s := openNATS(t, n); s.URL() != "nats://"+n.Listen {
		t.Errorf("URL: got %s, want nats://%s", s.URL(), n.Listen)
	}
}
