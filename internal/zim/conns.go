package zim

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync"
	"time"
)

// idleTooLong is when an idle connection is no longer trusted: gateways close
// theirs after a minute or so, and some middle boxes forget them silently.
const idleTooLong = 30 * time.Second

// conns are the open connections to one address. A transport's own pool cannot
// serve here: it chooses the connection after the request has been handed over,
// and sends a request again when the connection turns out dead.
type conns struct {
	transport    *http.Transport
	scheme, addr string
	allowed      func() bool

	mu     sync.Mutex // guards all below
	open   []*conn
	weeded time.Time
}

type conn struct {
	*http.ClientConn
	wire  *wire
	http2 bool
	used  time.Time // guarded by the mu of conns
}

func newConns(target *url.URL, transport *http.Transport, allowed func() bool) *conns {
	port := target.Port()
	if port == "" {
		port = target.Scheme // a service name that the dialer knows
	}
	return &conns{transport: transport, scheme: target.Scheme, addr: net.JoinHostPort(target.Hostname(), port), allowed: allowed}
}

// reserve returns a connection that stands and on which one request may be sent
// at once, or released; the most recently used one if there is a choice.
func (p *conns) reserve(ctx context.Context) (*conn, error) {
	if c := p.reserveOpen(time.Now()); c != nil {
		return c, nil
	}
	c := &conn{wire: &wire{allowed: p.allowed}, used: time.Now()}
	ctx = httptrace.WithClientTrace(context.WithValue(ctx, wireKey{}, c.wire), &httptrace.ClientTrace{
		TLSHandshakeDone: func(s tls.ConnectionState, _ error) { c.http2 = s.NegotiatedProtocol == "h2" },
	})
	cc, err := p.transport.NewClientConn(ctx, p.scheme, p.addr)
	if err != nil {
		return nil, err
	}
	if err := cc.Reserve(); err != nil {
		_ = cc.Close() // the error of Reserve says more
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c.ClientConn = cc
	p.open = append(p.open, c)
	return c, nil
}

func (p *conns) reserveOpen(now time.Time) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weed(now)
	for _, c := range slices.Backward(p.open) {
		if now.Sub(c.used) <= idleTooLong && c.Reserve() == nil {
			c.used = now
			return c
		}
	}
	return nil
}

// weed closes connections that are of no use any more, now and then: there may
// be hundreds, and they are in nobody's way. mu is held.
func (p *conns) weed(now time.Time) {
	if now.Sub(p.weeded) < time.Second {
		return
	}
	p.weeded = now
	p.open = slices.DeleteFunc(p.open, func(c *conn) bool {
		stale := c.Err() != nil || c.InFlight() == 0 && now.Sub(c.used) > idleTooLong
		if stale {
			_ = c.Close() // nothing is in flight on it
		}
		return stale
	})
}

// closeIdle closes what is not in use, and tells whether nothing is left open.
func (p *conns) closeIdle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = slices.DeleteFunc(p.open, func(c *conn) bool {
		idle := c.Err() != nil || c.InFlight() == 0
		if idle {
			_ = c.Close() // nothing is in flight on it
		}
		return idle
	})
	return len(p.open) == 0
}

func (p *conns) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.open {
		_ = c.Close() // nothing is in flight on it
	}
	p.open = nil
	p.transport.CloseIdleConnections()
}
