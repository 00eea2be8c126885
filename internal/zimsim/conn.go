package zimsim

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// doomable is an accepted connection that can be made to end as soon as its client sends anything more. It knows
// when the newest bytes came.
type doomable struct {
	net.Conn
	unread  atomic.Pointer[func()] // set when doomed; told that a request was cut off
	stamped *stamped               // nil where the kernel does not say when bytes came
	came    atomic.Int64           // wall time in ns of the newest bytes; 0 for not known
}

// Read hands on the client's bytes, unless the connection is doomed: then it drops them and closes. The client
// has written a request and gets an end instead of an answer, as from a server that closes a connection it thought idle.
func (c *doomable) Read(b []byte) (int, error) {
	n, err := c.read(b)
	if told := c.unread.Load(); told != nil && n > 0 {
		(*told)()
		c.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}

func (c *doomable) read(b []byte) (int, error) {
	if c.stamped == nil {
		return c.Conn.Read(b)
	}
	n, at, err := c.stamped.read(b)
	switch {
	case n == 0:
	case at.IsZero():
		c.came.Store(0) // those before are of an earlier request
	default:
		c.came.Store(at.UnixNano())
	}
	return n, err
}

type doomableListener struct{ net.Listener }

func (l doomableListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &doomable{Conn: c, stamped: newStamped(c)}, nil
}

type connKey struct{}

// withConn puts the connection where the gateway finds it.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	return context.WithValue(ctx, connKey{}, c)
}

// arrived is the offset at which the newest bytes of a request came; now where that is not known. Of requests that
// share a connection, as over HTTP/2, it may be that of a later one.
func (c clock) arrived(ctx context.Context) time.Duration {
	conn, ok := ctx.Value(connKey{}).(*doomable)
	if !ok {
		return c.elapsed()
	}
	came := conn.came.Load()
	if came == 0 {
		return c.elapsed()
	}
	return c.since(time.Unix(0, came))
}

// doom makes the next bytes from the client the connection's last; it does nothing where the connection is not ours.
func doom(ctx context.Context, unread func()) {
	if c, ok := ctx.Value(connKey{}).(*doomable); ok {
		c.unread.CompareAndSwap(nil, &unread)
	}
}
