package localtest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// Proxy stands between a program and one of its servers, and makes the faults of a network. It passes bytes on
// unchanged. A connection through it is one connection to the server, so that over Unix sockets a Postgres
// session is as direct as without it. Its methods may be called from any goroutine, at any time.
type Proxy struct {
	network, target string
	listener        net.Listener
	links           sync.WaitGroup

	mu      sync.Mutex // guards all below
	open    map[*link]struct{}
	refuses bool
	closed  bool
	hook    Hook
	stalled [2]chan struct{} // by direction: closed by Resume; nil while bytes flow
}

// Direction is the way that bytes go.
type Direction int

// The two directions.
const (
	ToServer Direction = iota
	ToClient
)

// Verdict is what becomes of bytes that a [Hook] has seen.
type Verdict int

// The verdicts.
const (
	Pass      Verdict = iota
	Drop              // these bytes alone are swallowed
	CutBefore         // the connection is cut, and the server, or the client, never sees them
	CutAfter          // they are delivered, then the connection is cut: no answer to them comes back
)

// Hook sees every piece of bytes as it was read. It may hold the piece back by not returning, and so everything
// behind it in that direction; what it releases is delivered, even when the client has died meanwhile, unless the
// connection was cut. conn counts the connections from 1. Pieces are cut where the network cut them.
type Hook func(conn int, d Direction, data []byte) Verdict

// NewProxy starts a proxy to a server, on the loopback interface or, for the network "unix", on a socket of the
// same name in a directory of its own. It ends with the test, and then a hook must not hold anything.
func NewProxy(t testing.TB, network, target string) *Proxy {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		dir, err := os.MkdirTemp("", "proxy") //nolint:usetesting // that of the test may be too long for a socket
		if err != nil {
			t.Fatalf("proxy to %s: %v", target, err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatalf("proxy to %s: %v", target, err)
		}
		address = filepath.Join(dir, filepath.Base(target))
	}
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), network, address)
	if err != nil {
		t.Fatalf("proxy to %s: %v", target, err)
	}
	p := &Proxy{network: network, target: target, listener: listener, open: map[*link]struct{}{}}
	p.links.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// PostgresProxy starts a proxy to the Postgres of a DSN, over the kind of socket that the DSN names, and returns
// the DSN that leads through it.
func PostgresProxy(t testing.TB, dsn string) (p *Proxy, through string) {
	t.Helper()
	server, err := pgconn.ParseConfig(dsn)
	if err != nil {
		t.Fatalf("proxy to postgres: %v", err)
	}
	network, address := pgconn.NetworkAddress(server.Host, server.Port)
	p = NewProxy(t, network, address)
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatalf("proxy to postgres: %v", err)
	}
	host, port := filepath.Dir(p.Addr()), strconv.Itoa(int(server.Port))
	if network != "unix" {
		host, port, _ = net.SplitHostPort(p.Addr())
	}
	query := u.Query()
	query.Set("host", host)
	query.Set("port", port)
	u.Host, u.RawQuery = "", query.Encode()
	return p, u.String()
}

// Addr is where clients connect to: host:port, or the path of a Unix socket.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Through returns a URL with the proxy's address in place of the server's.
func (p *Proxy) Through(server string) string {
	return strings.Replace(server, p.target, p.Addr(), 1)
}

// Cut breaks every connection that stands. New ones are not hindered.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.open {
		l.cut()
	}
}

// Refuse breaks new connections as soon as they are made, until Accept.
func (p *Proxy) Refuse() { p.setRefuses(true) }

// Accept takes new connections again.
func (p *Proxy) Accept() { p.setRefuses(false) }

func (p *Proxy) setRefuses(refuses bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = refuses
}

// Stall holds back whatever goes in these directions (none named: in both), on connections that stand and on
// new ones, which are accepted: a network that has become a black hole. Resume lets it go on where it was.
func (p *Proxy) Stall(directions ...Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(directions) == 0 {
		directions = []Direction{ToServer, ToClient}
	}
	for _, d := range directions {
		if p.stalled[d] == nil {
			p.stalled[d] = make(chan struct{})
		}
	}
}

// Resume ends every stall.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for d, stalled := range p.stalled {
		if stalled != nil {
			close(stalled)
			p.stalled[d] = nil
		}
	}
}

// SetHook shows all bytes that are read from now on to hook; nil for none.
func (p *Proxy) SetHook(hook Hook) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hook = hook
}

// Connections returns how many connections stand.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	_ = p.listener.Close() // nobody waits for it any longer
	p.mu.Unlock()
	p.Resume()
	p.Cut()
	p.links.Wait()
}

func (p *Proxy) accept() {
	for n := 1; ; n++ {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		if l := p.join(n, client); l != nil {
			p.links.Go(l.run)
			continue
		}
		reset(client)
	}
}

// join makes a link of a new connection, nil when it is refused.
func (p *Proxy) join(n int, client net.Conn) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.refuses {
		return nil
	}
	l := &link{proxy: p, n: n, client: client, broken: make(chan struct{})}
	p.open[l] = struct{}{}
	return l
}

func (p *Proxy) leave(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, l)
}

// now returns the hook, and what stalls a direction at the moment.
func (p *Proxy) now(d Direction) (hook Hook, stalled <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hook, p.stalled[d]
}

// String names the proxy for a test's log.
func (p *Proxy) String() string { return fmt.Sprintf("proxy %s to %s", p.Addr(), p.target) }
