package zimsim

import (
	"io"
	"net"
	"testing"
	"time"
)

// Bytes that lie unread for a while are as old as they are.
func TestStampIsWhenBytesCame(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	stamped := newStamped(server)
	// The kernel begins to stamp a moment after the first socket of all asks for it.
	for at := (time.Time{}); at.IsZero(); {
		if _, err := io.WriteString(client, "x"); err != nil {
			t.Fatal(err)
		}
		if _, at, err = stamped.read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	before := time.Now()
	if _, err := io.WriteString(client, "x"); err != nil {
		t.Fatal(err)
	}
	<-time.After(50 * time.Millisecond) // what is measured
	reading := time.Now()
	n, at, err := stamped.read(make([]byte, 10))
	if n != 1 || err != nil || at.Before(before.Add(-time.Millisecond)) || !at.Before(reading) {
		t.Errorf("read() = %d, %v, %v; written after %v, read at %v", n, at, err, before, reading)
	}
	client.Close()
	if n, _, err := stamped.read(make([]byte, 10)); n != 0 || err != io.EOF { //nolint:errorlint // as Read of a connection has it
		t.Errorf("read() at the end = %d, %v, want EOF", n, err)
	}
}

// Bytes that came before their connection was accepted are stamped too, also where nobody else has the kernel stamp.
func TestStampBeforeTheAccept(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	stampAll(listener)
	for patience := time.Now().Add(10 * time.Second); ; { // the kernel begins a moment later
		at, accepting := firstStamp(t, listener)
		if at.After(accepting) {
			t.Errorf("stamped at %v, accepted from %v on", at, accepting)
		}
		if !at.IsZero() {
			return
		}
		if time.Now().After(patience) {
			t.Fatal("not stamped")
		}
	}
}

// firstStamp is that of bytes on a new connection, which is accepted when they are there.
func firstStamp(t *testing.T, listener net.Listener) (at, accepting time.Time) {
	t.Helper()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := io.WriteString(client, "x"); err != nil {
		t.Fatal(err)
	}
	accepting = time.Now()
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if _, at, err = newStamped(server).read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	return at, accepting
}
