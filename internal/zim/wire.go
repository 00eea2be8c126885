package zim

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
)

// wire is a connection that tells when what is written next has left. net/http
// tells of an HTTP/1.1 request that it was written when it has filled the
// buffer; on a busy machine many milliseconds may go by until the system has it.
//
// It also asks at the last moment whether anything may leave at all. A process
// that is stopped with a request in hand may wake up minutes later, when somebody
// else spends the budget.
type wire struct {
	net.Conn
	allowed func() bool // nil: always
	wrote   atomic.Pointer[func()]
}

var errTooLate = errors.New("not sent: it was allowed, and is not any more")

// afterWrite has f called, once, after the next Write.
func (w *wire) afterWrite(f func()) { w.wrote.Store(&f) }

// Write is that of the connection, unless nothing may leave; the connection is
// of no use any more then.
func (w *wire) Write(b []byte) (int, error) {
	f := w.wrote.Swap(nil)
	n, err := 0, errTooLate
	if w.allowed == nil || w.allowed() {
		n, err = w.Conn.Write(b)
	}
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
