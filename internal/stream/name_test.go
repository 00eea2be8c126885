package stream

import (
	"context"
	"encoding/binary"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/local/localtest"
)

// names is a name server. It knows no name, or answers nothing at all, or says
// that every name is 127.0.0.1.
type names struct {
	conn  net.PacketConn
	mode  atomic.Int32
	asked atomic.Int32
}

const (
	nobody = iota
	silent
	everybody
)

// resolve makes the program's names come from a new name server.
func resolve(t *testing.T) *names {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{conn: conn}
	done := make(chan struct{})
	go func() { n.serve(); close(done) }()
	before, ended := net.DefaultResolver, make(chan struct{})
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		asking, err := new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
		if err == nil {
			// A lookup outlives who asked for it.
			go func() { <-ended; _ = asking.Close() }()
		}
		return asking, err
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		_ = conn.Close()
		close(ended)
		<-done
	})
	return n
}

func (n *names) serve() {
	buf := make([]byte, 1500)
	for {
		size, from, err := n.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		n.asked.Add(1)
		if answer := n.answer(buf[:size]); answer != nil {
			_, _ = n.conn.WriteTo(answer, from) // it asks again
		}
	}
}

// answer makes the question its answer.
func (n *names) answer(q []byte) []byte {
	if n.mode.Load() == silent || len(q) < 17 {
		return nil
	}
	end := 12
	for q[end] != 0 {
		end += int(q[end]) + 1
	}
	end += 5
	isA := binary.BigEndian.Uint16(q[end-4:]) == 1
	a := append([]byte(nil), q[:end]...)
	copy(a[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
	switch {
	case n.mode.Load() == nobody:
		a[3] |= 3 // no such name
	case isA:
		a[7] = 1
		a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	}
	return a
}

// A name that nobody knows yet, and a name server that does not answer, are
// waited for, and hold up nobody who asks how the connection stands.
func TestConnectToANameThatResolvesToNothing(t *testing.T) {
	ns := localtest.NATS(t)
	_, port, err := net.SplitHostPort(ns.URL()[len("nats://"):])
	if err != nil {
		t.Fatal(err)
	}
	dns := resolve(t)
	nc := dial(t, Options{URL: "nats://nats.example.internal.:" + port, Log: zerolog.Nop()})
	var longest time.Duration
	for _, mode := range []int32{nobody, silent, nobody} {
		dns.mode.Store(mode)
		asked := dns.asked.Load()
		eventually(t, "five questions more", func() bool {
			begun := time.Now()
			if nc.IsConnected() || nc.IsClosed() {
				t.Fatalf("the connection is %s", nc.Status())
			}
			longest = max(longest, time.Since(begun))
			return dns.asked.Load() >= asked+5
		})
	}
	// An attempt takes 2 seconds at the most; the client's own lookup takes 10.
	if longest > 6*time.Second {
		t.Errorf("who asked how the connection stands waited for %s", longest)
	}
	dns.mode.Store(everybody)
	eventually(t, "the connection", nc.IsConnected)
	s := open(t, nc, Config{AppID: testApp})
	ensure(t, s)
	appendAll(t, s, story(1, 3))
}
