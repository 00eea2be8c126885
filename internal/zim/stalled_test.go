package zim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// watchWrites has each Write of the client's connections go through write, and each
// Close through end.
func (r *rig) watchWrites(write func(c net.Conn, b []byte) (int, error), end func(c net.Conn) error) {
	transport := r.course().conns.transport
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if w, ok := c.(*wire); ok {
			w.Conn = watchedConn{w.Conn, write, end}
		}
		return c, err
	}
}

type watchedConn struct {
	net.Conn
	write func(c net.Conn, b []byte) (int, error)
	end   func(c net.Conn) error
}

func (c watchedConn) Write(b []byte) (int, error) { return c.write(c.Conn, b) }
func (c watchedConn) Close() error                { return c.end(c.Conn) }

// The budget counts its second from when it is told that a request has left. A process
// may be stopped between any two writes: so nothing of a request is written behind that,
// whether it fills net/http's buffer of 4 kB once or twice.
func TestNothingOfARequestIsWrittenBehindItsBeingTold(t *testing.T) {
	users := make([]presence.User, 100)
	for i := range users {
		users[i] = presence.User{No: uint32(i + 1), ID: fmt.Sprintf("%030d", i)}
	}
	for name, c := range map[string]zimsim.Config{"clear": {}, "TLS": {TLS: true, HTTP1: true}} {
		for _, n := range []int{1, 20, 80, 100} {
			t.Run(fmt.Sprint(name, " ", n), func(t *testing.T) {
				t.Parallel()
				s := simulator(t, c, users)
				var answered atomic.Bool
				r := newRig(t, s.URL(), secure(s), func(c *Config) { c.Attempted = func(Attempt) { answered.Store(true) } })
				writes := 0
				r.watchWrites(func(c net.Conn, b []byte) (int, error) {
					if taken, held, _ := r.slots.books(); taken == 1 && !answered.Load() {
						writes++
						if held == 0 {
							t.Errorf("write number %d, of %d bytes: the budget was told before that the request has left", writes, len(b))
						}
					}
					return c.Write(b)
				}, net.Conn.Close)
				if out := r.ask(t.Context(), users[:n]); len(out.observed) != n || out.asked.Requests != 1 || writes == 0 {
					t.Errorf("%d observed by %d requests in %d writes, want %d by one", len(out.observed), out.asked.Requests, writes, n)
				}
			})
		}
	}
}

// Nor is a request that was broken off while it was being written.
func TestNothingIsWrittenOfWhatWasBrokenOff(t *testing.T) {
	for name, c := range map[string]zimsim.Config{"clear": {}, "TLS": {TLS: true, HTTP1: true}, "HTTP/2": {TLS: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := simulator(t, c, numbered(1))
			r := newRig(t, s.URL(), secure(s), timeout(time.Second))
			stall := &stall{closed: make(chan struct{}), over: make(chan struct{}), wrote: make(chan error, 1)}
			r.watchWrites(func(c net.Conn, b []byte) (int, error) {
				if taken, _, _ := r.slots.books(); taken < 2 || len(b) < 150 { // less is no request
					return c.Write(b)
				}
				return stall.write(c, b)
			}, stall.close)
			if first, err := r.Try(t.Context(), "u1"); err != nil || first.Err != nil {
				t.Fatal(err, first.Err)
			}
			broken := make(chan error)
			go func() {
				second, err := r.Try(t.Context(), "u1")
				broken <- errors.Join(err, second.Err)
			}()
			stall.await(func() bool { taken, held, _ := r.slots.books(); return taken == 2 && held == 0 })
			close(stall.over)
			if err := <-stall.wrote; err == nil {
				t.Error("it was written when its slot counted as spent")
			}
			if err := <-broken; err == nil {
				t.Error("a request that was not written got an answer")
			}
			if third, err := r.Try(t.Context(), "u1"); err != nil || third.Err != nil {
				t.Errorf("the next one: %v, %v", err, third.Err)
			}
			if taken, held, _ := r.slots.books(); taken != 3 || held != 0 {
				t.Errorf("%d slots taken, %d held", taken, held)
			}
		})
	}
}

// stall is what a process does that is stopped before a system call: the first write waits.
type stall struct {
	once, ended  sync.Once
	closed, over chan struct{}
	wrote        chan error
}

func (s *stall) write(c net.Conn, b []byte) (n int, err error) {
	first := false
	s.once.Do(func() {
		first = true
		<-s.over
		n, err = c.Write(b)
		s.wrote <- err
	})
	if first {
		return n, err
	}
	return c.Write(b)
}

// close closes at once, as the system does: it is the write that is late.
func (s *stall) close(c net.Conn) error {
	defer s.ended.Do(func() { close(s.closed) })
	return c.Close()
}

// await waits until the connection is closed, or something else is true.
func (s *stall) await(other func() bool) {
	for !other() {
		select {
		case <-s.closed:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}
