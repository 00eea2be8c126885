package zim

import (
	"context"
	"net"
	"sync/atomic"
)

// wire is a connection that tells when what is written next has left. net/http
// tells of an HTTP/1.1 request that it was written when it has filled the
// buffer; on a busy machine many milliseconds may go by until the system has it.
type wire struct {
	net.Conn
	wrote atomic.Pointer[func()]
}

// afterWrite has f called, once, after the next Write.
func (w *wire) afterWrite(f func()) { w.wrote.Store(&f) }

// Write is that of the connection.
func (w *wire) Write(b []byte) (int, error) {
	f := w.wrote.Swap(nil)
	n, err := w.Conn.Write(b)
	if f != nil {
		(*f)()
	}
	return n, err
}

// wireKey is the key of the wire in the context of a dial.
type wireKey struct{}

// dialWire dials, and fills in the wire of the context, if there is one.
func dialWire(dialer *net.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, addr)
		w, wanted := ctx.Value(wireKey{}).(*wire)
		if err != nil || !wanted {
			return c, err
		}
		w.Conn = c
		return w, nil
	}
}
