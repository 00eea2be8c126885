package zim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// How long nothing is sent before the way to ZIM is tried, how often it is tried
// then, and again when it did not go, and how long one try may take.
const (
	idleAfter   = 5 * time.Second
	reachEvery  = 5 * time.Second
	reachAgain  = 2 * time.Second
	reachWithin = 3 * time.Second
)

// silentAfter is how long requests may go without any reply before Reach says so. The
// breaker, which counts them, takes longer where few are sent.
const silentAfter = 7 * time.Second

// UnreachedError says that nothing comes from ZIM.
type UnreachedError struct {
	// Since is when that began, as far as anybody tried.
	Since time.Time
	// Err is what became of the newest try.
	Err error

	asked bool // it is about requests, not about connections
}

func (u *UnreachedError) Error() string {
	what := "ZIM cannot be reached"
	if u.asked {
		what = "ZIM has answered nothing"
	}
	return fmt.Sprintf("%s since %s: %v", what, u.Since.UTC().Format(time.RFC3339), u.Err)
}

func (u *UnreachedError) Unwrap() error { return u.Err }

// Mend is that of the cause, and else where to look.
func (u *UnreachedError) Mend() string {
	if e := new(Error); errors.As(u.Err, &e) && e.Mend() != "" {
		return e.Mend()
	}
	return "see that ZIM is reached from here: network, DNS, proxy, firewall; zim.base_url (POLLER_ZIM_BASE_URL)"
}

// reach is what is known of the way to ZIM.
type reach struct {
	mu    sync.Mutex // guards all below
	busy  int        // requests under way
	asked time.Time  // when one was last sent or ended, or could not be
	tried time.Time  // when the way was last tried; zero for not since then
	err   *UnreachedError
}

// begin notes that a request is sent; the returned function that it has ended.
func (r *reach) begin() (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy++
	r.asked = time.Now()
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.busy--
		r.asked = time.Now()
	}
}

// idle tells whether nothing was sent for a while, and whether the way is to be tried.
// As soon as something is sent, what was found before is forgotten.
func (r *reach) idle(now time.Time) (idle, due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy > 0 || now.Sub(r.asked) < idleAfter {
		r.tried, r.err = time.Time{}, nil
		return false, false
	}
	every := reachEvery
	if r.err != nil {
		every = reachAgain
	}
	return true, now.Sub(r.tried) >= every
}

// note keeps what a try has brought.
func (r *reach) note(began time.Time, err *Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried = began
	switch {
	case err == nil:
		r.err = nil
	case r.err == nil:
		r.err = &UnreachedError{Since: began, Err: err}
	default:
		r.err = &UnreachedError{Since: r.err.Since, Err: err}
	}
}

func (r *reach) last() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		return nil
	}
	return r.err
}

// Reach says whether anything comes from ZIM, with an [*UnreachedError] when not: for
// probes, to be called once a second or so, by one goroutine at a time. While requests
// are sent it says what they say: nothing was answered for seven seconds. Where none was
// sent for five seconds it opens a connection to ZIM, as for a request, and closes it:
// every five seconds, or every two while that fails. No request is sent and no slot of
// the budget is taken, and the breaker does not hear of it. Through a proxy the tunnel
// to ZIM is asked for, as for any connection; without TLS there is no tunnel, and the
// connection is one to the proxy. Nothing is tried while it is not allowed to send, nor
// in an outage, which [Client.Outage] tells and a request ends.
func (c *Client) Reach(ctx context.Context) error {
	now := time.Now()
	idle, due := c.reach.idle(now)
	switch {
	case !idle:
		return c.breaker.silent(now)
	case c.breaker.down() != nil, !c.allowed():
		return nil //nolint:nilerr // an outage is told by another
	case due:
		c.try(ctx, now)
	}
	return c.reach.last()
}

// try opens a connection and closes it. What was broken off by us says nothing.
func (c *Client) try(ctx context.Context, began time.Time) {
	course := c.course()
	dial, cancel := context.WithTimeout(ctx, min(reachWithin, course.Timeout))
	defer cancel()
	conn, err := course.conns.transport.NewClientConn(context.WithValue(dial, wireKey{}, &wire{allowed: c.cfg.Allowed}), course.conns.scheme, course.conns.addr)
	switch {
	case err == nil:
		_ = conn.Close() // it has done what it was for
		c.reach.note(began, nil)
	case ctx.Err() == nil && c.allowed():
		c.reach.note(began, fromTransport(fmt.Errorf("connect: %w", err), course.Secret))
	}
}

func (c *Client) allowed() bool { return c.cfg.Allowed == nil || c.cfg.Allowed() }
