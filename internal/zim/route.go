package zim

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"time"
)

// Stage is a step on the way to ZIM.
type Stage string

// The stages, in their order. A tunnel is what a proxy makes.
const (
	StageName    Stage = "name"
	StageConnect Stage = "connect"
	StageTunnel  Stage = "tunnel"
	StageTLS     Stage = "tls"
)

// Route is how far somebody came on the way to ZIM, without a request.
type Route struct {
	// Proxy is what stands between, without its password; nil for nothing.
	Proxy *url.URL
	// Addresses are what the name stands for, that of the proxy where there is one;
	// none where an address was named.
	Addresses []string
	// Address is the one that took the connection; "" for none.
	Address string
	// Took is how long each stage took, of those that ended well.
	Took map[Stage]time.Duration
	// TLS is its version, "" for none; Until when the first of the server's certificates
	// ends.
	TLS   string
	Until time.Time
	// Failed is the stage that did not end well, with its error, whose text is cleaned;
	// "" for none.
	Failed Stage
	Err    error
}

// Trace makes one connection to ZIM as the client does for its requests, and closes it:
// name, TCP, proxy, TLS. It sends no request, and spends nothing.
func (c *Client) Trace(ctx context.Context) Route {
	w := &walk{route: Route{Took: map[Stage]time.Duration{}}, stage: StageName, began: time.Now()}
	course := c.course()
	if proxy, err := course.conns.transport.Proxy(&http.Request{URL: course.target}); err == nil && proxy != nil {
		w.route.Proxy = &url.URL{Scheme: proxy.Scheme, Host: proxy.Host}
	}
	conn, err := course.conns.transport.NewClientConn(httptrace.WithClientTrace(ctx, w.trace()), course.conns.scheme, course.conns.addr)
	if err == nil {
		_ = conn.Close() // nothing was sent on it
	}
	return w.end(ctx, err, course.Secret)
}

// walk is one connection that is being made. The transport tells of it from goroutines
// of its own, and of several addresses at a time.
type walk struct {
	mu    sync.Mutex // guards all below
	route Route
	stage Stage // that is under way
	began time.Time
	over  bool
}

func (w *walk) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSDone: func(i httptrace.DNSDoneInfo) {
			w.leave(StageName, i.Err, func(r *Route) {
				for _, a := range i.Addrs {
					r.Addresses = append(r.Addresses, a.String())
				}
			})
		},
		ConnectStart: func(_, _ string) { w.enter(StageConnect) },
		ConnectDone: func(_, addr string, err error) {
			w.leave(StageConnect, err, func(r *Route) { r.Address = addr })
		},
		TLSHandshakeStart: func() { w.enter(StageTLS) },
		TLSHandshakeDone: func(s tls.ConnectionState, err error) {
			w.leave(StageTLS, err, func(r *Route) { r.TLS, r.Until = tls.VersionName(s.Version), ends(s) })
		},
	}
}

// ends is when the first of the certificates ends.
func ends(s tls.ConnectionState) (until time.Time) {
	for _, cert := range s.PeerCertificates {
		if until.IsZero() || cert.NotAfter.Before(until) {
			until = cert.NotAfter
		}
	}
	return until
}

func (w *walk) enter(s Stage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s == w.stage {
		return
	}
	if w.stage == StageTunnel { // that it is there shows in what comes behind it
		w.route.Took[StageTunnel] = time.Since(w.began)
	}
	w.stage, w.began = s, time.Now()
}

// leave notes the good end of a stage. Of several addresses the first to answer counts.
func (w *walk) leave(s Stage, err error, note func(*Route)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || w.over || s != w.stage {
		return
	}
	note(&w.route)
	w.route.Took[s] = time.Since(w.began)
	if s == StageConnect && w.route.Proxy != nil {
		w.stage, w.began = StageTunnel, time.Now()
	}
}

func (w *walk) end(ctx context.Context, err error, secret string) Route {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		w.route.Failed, w.route.Err = w.stage, cleanedError{clean(err.Error(), secret), err}
	}
	return w.route
}

// cleanedError is an error with its text cleaned.
type cleanedError struct {
	text string
	err  error
}

func (e cleanedError) Error() string { return e.text }
func (e cleanedError) Unwrap() error { return e.err }
