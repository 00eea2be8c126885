package main

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zim-presence/poller/internal/local/localtest"
)

// option reads an option of TCP back from a connection's socket.
func option(t *testing.T, conn net.Conn, name int) (value int) {
	t.Helper()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var errGet error
	if err := raw.Control(func(fd uintptr) { value, errGet = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, name) }); err != nil {
		t.Fatal(err)
	}
	if errGet != nil {
		t.Fatal(errGet)
	}
	return value
}

// listen accepts connections and leaves them alone.
func listen(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

// The connections of the pool, and so the lease's, notice a silent peer in seconds, idle or not.
func TestDatabaseConnectionsNoticeASilentPeer(t *testing.T) {
	settings, err := poolConfig("postgres://u@db/p")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := settings.ConnConfig.DialFunc(t.Context(), "tcp", listen(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if ms := option(t, conn, unix.TCP_USER_TIMEOUT); ms != 11000 {
		t.Errorf("TCP_USER_TIMEOUT %d ms, want 11000", ms)
	}
	idle, every, count := option(t, conn, unix.TCP_KEEPIDLE), option(t, conn, unix.TCP_KEEPINTVL), option(t, conn, unix.TCP_KEEPCNT)
	if got := idle + every*count; got != 11 {
		t.Errorf("keepalives give up after %d s (%d + %d times %d), want 11", got, idle, count, every)
	}
}

// What is sent to a peer that takes nothing fails, though nobody has set a deadline.
func TestUnansweredWriteIsNoticed(t *testing.T) {
	proxy := localtest.NewProxy(t, "tcp", listen(t))
	proxy.Stall()
	conn, err := databaseDialer(patience, time.Second).DialContext(t.Context(), "tcp", proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil { // without the option it would be this
		t.Fatal(err)
	}
	for err == nil {
		_, err = conn.Write(make([]byte, 1<<20))
	}
	if !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("write to a peer that takes nothing: %v, want %v", err, syscall.ETIMEDOUT)
	}
}
