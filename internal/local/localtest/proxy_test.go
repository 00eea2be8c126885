package localtest_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/local/localtest"
)

// parrot is a server that says every line again, and remembers what it heard.
type parrot struct {
	listener net.Listener
	mu       sync.Mutex
	heard    bytes.Buffer
}

func newParrot(t *testing.T) *parrot {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &parrot{listener: listener}
	var talks sync.WaitGroup
	talks.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			talks.Go(func() { p.talk(conn) })
		}
	})
	t.Cleanup(talks.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	return p
}

func (p *parrot) talk(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		p.mu.Lock()
		p.heard.WriteString(lines.Text() + ",")
		p.mu.Unlock()
		if _, err := io.WriteString(conn, lines.Text()+"\n"); err != nil {
			return
		}
	}
}

func (p *parrot) until(t *testing.T, want string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; <-time.After(time.Millisecond) {
		p.mu.Lock()
		got := p.heard.String()
		p.mu.Unlock()
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server heard %q, want %q", got, want)
		}
	}
}

// visitor is a client that says a line at a time.
type visitor struct {
	net.Conn
	t     *testing.T
	lines *bufio.Reader
}

func visit(t *testing.T, p *localtest.Proxy) *visitor {
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &visitor{conn, t, bufio.NewReader(conn)}
}

func (v *visitor) say(line string) {
	v.t.Helper()
	if _, err := io.WriteString(v, line+"\n"); err != nil {
		v.t.Fatal(err)
	}
}

// hear returns the next line, or false when the connection breaks.
func (v *visitor) hear() (string, bool) {
	v.t.Helper()
	if err := v.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		v.t.Fatal(err)
	}
	line, err := v.lines.ReadString('\n')
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		v.t.Fatal("nothing was heard, and the connection stands")
	}
	return line, err == nil
}

func (v *visitor) wants(line string) {
	v.t.Helper()
	if got, ok := v.hear(); !ok || got != line+"\n" {
		v.t.Fatalf("heard %q, %v; want %q", got, ok, line)
	}
}

func (v *visitor) wantsEnd() {
	v.t.Helper()
	if got, ok := v.hear(); ok {
		v.t.Fatalf("heard %q, want that the connection breaks", got)
	}
}

func TestProxyMakesFaults(t *testing.T) {
	server := newParrot(t)
	p := localtest.NewProxy(t, "tcp", server.listener.Addr().String())
	v := visit(t, p)
	v.say("one")
	v.wants("one")

	p.Stall()
	v.say("two")
	late := visit(t, p)
	late.say("three")
	p.Resume()
	v.wants("two")
	late.wants("three")
	server.mu.Lock()
	server.heard.Reset()
	server.mu.Unlock()

	p.Stall(localtest.ToClient)
	v.say("four")
	server.until(t, "four,")
	p.Cut()
	v.wantsEnd()
	late.wantsEnd()
	p.Resume()

	p.Refuse()
	if conn, err := net.Dial("tcp", p.Addr()); err == nil { // or it is reset at once
		(&visitor{conn, t, bufio.NewReader(conn)}).wantsEnd()
		_ = conn.Close()
	}
	p.Accept()
	again := visit(t, p)
	again.say("five")
	again.wants("five")
}

func TestProxyHooks(t *testing.T) {
	server := newParrot(t)
	p := localtest.NewProxy(t, "tcp", server.listener.Addr().String())
	verdicts := map[string]localtest.Verdict{
		"drop\n": localtest.Drop, "before\n": localtest.CutBefore, "after\n": localtest.CutAfter,
	}
	p.SetHook(func(_ int, d localtest.Direction, data []byte) localtest.Verdict {
		if d == localtest.ToClient {
			return localtest.Pass
		}
		return verdicts[string(data)]
	})
	v := visit(t, p)
	v.say("drop")
	server.until(t, "")
	for p.Connections() != 1 {
		<-time.After(time.Millisecond)
	}
	v = visit(t, p)
	v.say("pass")
	v.wants("pass")
	v.say("before")
	v.wantsEnd()
	v = visit(t, p)
	v.say("after")
	v.wantsEnd()
	server.until(t, "pass,after,")
}

// What a hook has held back is delivered though the client died meanwhile.
func TestProxyDeliversForTheDead(t *testing.T) {
	server := newParrot(t)
	p := localtest.NewProxy(t, "tcp", server.listener.Addr().String())
	held, release := make(chan struct{}), make(chan struct{})
	p.SetHook(func(_ int, d localtest.Direction, _ []byte) localtest.Verdict {
		if d == localtest.ToServer {
			close(held)
			<-release
		}
		return localtest.Pass
	})
	v := visit(t, p)
	v.say("will")
	<-held
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	server.until(t, "")
	close(release)
	server.until(t, "will,")
}

// A session of Postgres through a proxy is as direct as without.
func TestPostgresProxy(t *testing.T) {
	p, through := localtest.PostgresProxy(t, localtest.Postgres(t))
	conn := connect(t, through)
	if pid := value[uint32](t, conn, "select pg_backend_pid()"); pid != conn.PgConn().PID() {
		t.Errorf("backend %d, told was %d", pid, conn.PgConn().PID())
	}
	if got := p.Connections(); got != 1 {
		t.Errorf("%d connections through the proxy, want 1", got)
	}
	p.Cut()
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a ping was answered over a connection that was cut")
	}
}
