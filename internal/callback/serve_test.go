package callback

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// It takes callbacks over the wire until it is to stop, and whoever still sends then is
// cut off.
func TestServe(t *testing.T) {
	taken := make(chan Hint, 1)
	r := New(func(h Hint) bool { taken <- h; return true }, func(uint32, Outcome) {})
	r.SetSecrets(map[uint32]string{app: secret})
	ctx, cancel := context.WithCancel(t.Context())
	addr, served := make(chan string, 1), make(chan error, 1)
	go func() { served <- Serve(ctx, "127.0.0.1:0", r, func(a string) { addr <- a }) }()
	at := <-addr
	rig := &rig{at: time.Now()}
	answer, err := http.Post("http://"+at+Path, "application/json", strings.NewReader(rig.signed(secret)))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if got := <-taken; answer.StatusCode != http.StatusOK || got.User != "alice" {
		t.Errorf("status %d, hint %+v", answer.StatusCode, got)
	}
	half, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	_, _ = io.WriteString(half, "POST "+Path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	cancel()
	select {
	case err := <-served:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("it does not stop")
	}
	_ = half.SetReadDeadline(time.Now().Add(patience))
	if rest, err := io.ReadAll(half); err != nil || strings.Contains(string(rest), "200 OK") {
		t.Errorf("who was sending: %q, %v", rest, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// A connection gives its seat back once, however often it is closed.
func TestSeat(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := bound(l, 2)
	defer b.Close()
	var accepted []net.Conn
	for range 2 {
		dialled, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer dialled.Close()
		c, err := b.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		accepted = append(accepted, c)
	}
	accepted[0].Close()
	accepted[0].Close()
	if len(b.seats) != 1 {
		t.Errorf("%d seats taken, want 1", len(b.seats))
	}
}

// There are so many connections at once, and the next one has its turn when one of them
// is gone.
func TestBound(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := bound(l, 2)
	accepted := make(chan net.Conn)
	done := make(chan error, 1)
	go func() {
		for {
			c, err := b.Accept()
			if err != nil {
				done <- err
				return
			}
			accepted <- c
		}
	}()
	var conns []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	first, second := <-accepted, <-accepted
	if len(b.seats) != 2 {
		t.Errorf("%d seats taken, want 2", len(b.seats))
	}
	first.Close()
	first.Close() // gives one seat back, not two
	third := <-accepted
	if len(b.seats) != 2 {
		t.Errorf("%d seats taken, want 2", len(b.seats))
	}
	if _, err := io.WriteString(third, "hello\n"); err != nil {
		t.Error(err)
	}
	if line, err := bufio.NewReader(conns[2]).ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("the third hears %q, %v", line, err)
	}
	b.Close()
	if err := <-done; err == nil {
		t.Error("a closed listener accepts")
	}
	second.Close()
	third.Close()
}
