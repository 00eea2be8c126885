package callback

import (
	"net"
	"sync"
)

// bounded is a listener with so many connections at once.
type bounded struct {
	net.Listener
	seats  chan struct{}
	closed chan struct{}
	once   sync.Once
}

func bound(l net.Listener, most int) *bounded {
	return &bounded{Listener: l, seats: make(chan struct{}, most), closed: make(chan struct{})}
}

// Accept waits for a seat, and then for a connection.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.seats <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.seats
		return nil, err
	}
	return &seated{Conn: c, leave: sync.OnceFunc(func() { <-b.seats })}, nil
}

// Close ends it; the connections stay.
func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// seated is a connection that gives its seat back.
type seated struct {
	net.Conn
	leave func()
}

// Close closes it.
func (s *seated) Close() error {
	defer s.leave()
	return s.Conn.Close()
}
