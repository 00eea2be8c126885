package zimsim

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
)

// doomable is an accepted connection that can be made to end as soon as its client sends anything more.
type doomable struct {
	net.Conn
	unread atomic.Pointer[func()] // set when doomed; told that a request was cut off
}

// Read hands on the client's bytes, unless the connection is doomed: then it drops them and closes. The client
// has written a request and gets an end instead of an answer, as from a server that closes a connection it thought idle.
func (c *doomable) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if told := c.unread.Load(); told != nil && n > 0 {
		(*told)()
		c.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}

type doomableListener struct{ net.Listener }

func (l doomableListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &doomable{Conn: c}, nil
}

type connKey struct{}

// withConn puts the connection where the gateway finds it.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	return context.WithValue(ctx, connKey{}, c)
}

// doom makes the next bytes from the client the connection's last; it does nothing where the connection is not ours.
func doom(ctx context.Context, unread func()) {
	if c, ok := ctx.Value(connKey{}).(*doomable); ok {
		c.unread.CompareAndSwap(nil, &unread)
	}
}
