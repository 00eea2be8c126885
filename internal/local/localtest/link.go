package localtest

import (
	"context"
	"io"
	"net"
	"sync"
)

// link is one connection through a proxy.
type link struct {
	proxy  *Proxy
	n      int
	client net.Conn
	server net.Conn // as soon as bytes flow

	breaking sync.Once
	broken   chan struct{} // closed by cut
}

func (l *link) run() {
	defer l.proxy.leave(l)
	defer reset(l.client)
	var dialer net.Dialer
	server, err := dialer.DialContext(context.Background(), l.proxy.network, l.proxy.target)
	if err != nil {
		return // the client sees a connection that breaks
	}
	defer reset(server)
	l.server = server
	var both sync.WaitGroup
	both.Go(func() {
		l.copy(ToServer, server, l.client)
		finish(server)
	})
	both.Go(func() {
		l.copy(ToClient, l.client, server)
		finish(l.client)
		// The client may have gone while a hook holds back what it sent: the server
		// gets that, and goes on answering.
		_, _ = io.Copy(io.Discard, server)
	})
	done := make(chan struct{})
	go func() {
		both.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-l.broken:
		reset(l.client)
		reset(server)
		<-done
	}
}

// copy passes on what comes from one side until that ends or cannot be passed on.
func (l *link) copy(d Direction, to net.Conn, from net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !l.pass(d, to, buf[:n]) {
			return
		}
		if err != nil {
			return
		}
	}
}

// pass delivers one piece; false when nothing is to follow.
func (l *link) pass(d Direction, to net.Conn, data []byte) bool {
	hook, _ := l.proxy.now(d)
	verdict := Pass
	if hook != nil {
		verdict = hook(l.n, d, data)
	}
	if !l.flow(d) || verdict == CutBefore {
		l.cut()
		return false
	}
	if verdict == Drop {
		return true
	}
	if verdict == CutAfter {
		// The sender goes first: an answer must not find it.
		if d == ToServer {
			reset(l.client)
		} else {
			reset(l.server)
		}
	}
	_, err := to.Write(data)
	if verdict == CutAfter {
		finish(to)
		return false
	}
	return err == nil
}

// flow waits while the direction is stalled; false when the link was cut.
func (l *link) flow(d Direction) bool {
	for {
		_, stalled := l.proxy.now(d)
		if stalled == nil {
			return true
		}
		select {
		case <-stalled:
		case <-l.broken:
			return false
		}
	}
}

func (l *link) cut() { l.breaking.Do(func() { close(l.broken) }) }

// finish tells a side that nothing more comes.
func finish(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // it may have gone already
	}
}

// reset closes a connection without waiting for what was not delivered.
func reset(conn net.Conn) {
	if conn == nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
