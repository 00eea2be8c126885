package zim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptrace"
	"time"

	"github.com/zim-presence/poller/presence"
)

// attempt sends one request about a batch and reads its reply. The error is an
// [*Error], or what ended ctx or the budget; no request was sent then.
func (a *asking) attempt(ctx context.Context, batch []presence.User) (reply, presence.Answer, error) {
	c := a.client
	conn, sent, err := a.slot(ctx)
	if err != nil {
		return reply{}, presence.Answer{}, err
	}
	a.n.requests.Add(1)
	asked := time.Now()
	r, err := c.exchange(ctx, conn, sent, batch)
	at := time.Now()
	sent() // however it ended, the slot is spent
	c.tellBudget(asked, r, err)
	answer := presence.Answer{AskedAt: presence.Instant(asked), At: presence.Instant(at)}
	c.cfg.Attempted(newAttempt(a.lane.name, batch, r, answer, at.Sub(asked), err))
	if err != nil && ctx.Err() != nil {
		return reply{}, presence.Answer{}, context.Cause(ctx)
	}
	return r, answer, err
}

// tellBudget says whether the rate was right, if the reply says anything of it, and
// how long the server wants to be left alone, whatever its reason.
func (c *Client) tellBudget(asked time.Time, r reply, err error) {
	var failure *Error
	errors.As(err, &failure)
	switch {
	case failure != nil && failure.Class == Slow:
		c.cfg.Budget.Refused(asked, failure.RetryAfter)
	case failure != nil && failure.RetryAfter > 0:
		c.cfg.Budget.Pause(time.Now().Add(failure.RetryAfter))
	case err == nil && r.slow:
		c.cfg.Budget.Refused(asked, 0)
	case err == nil:
		c.cfg.Budget.Accepted(asked)
	}
}

// slot returns a connection that stands and a slot to use at once. A few
// requests of a lane at a time wait for their slot with a connection in hand; the
// others wait for one of them. When connecting takes too long all who wait give
// up, or each in turn would wait as long for the same end.
func (a *asking) slot(ctx context.Context) (*conn, func(), error) {
	c := a.client
	outage := c.conns.nextOutage()
	select {
	case a.lane.seats <- struct{}{}:
	case <-outage:
		return nil, nil, c.fromTransport(errOutage)
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	defer func() { <-a.lane.seats }()
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	sent, err := a.take(ctx)
	if err != nil {
		conn.Release()
		return nil, nil, err
	}
	if conn.Err() != nil { // it has died while it waited, and the slot would be spent on nothing
		conn.Release()
		if conn, err = c.connect(ctx); err != nil {
			sent()
			return nil, nil, err
		}
	}
	return conn, sent, nil
}

// take waits for a slot of the budget, for as long as the lane has patience.
func (a *asking) take(ctx context.Context) (sent func(), err error) {
	if a.lane.patience == 0 {
		return a.client.cfg.Budget.Take(ctx)
	}
	short, cancel := context.WithTimeoutCause(ctx, a.lane.patience, errNoSlot)
	defer cancel()
	sent, err = a.client.cfg.Budget.Take(short)
	if err != nil && ctx.Err() == nil && short.Err() != nil {
		return nil, &Error{Class: Weather, Err: errNoSlot, held: true}
	}
	return sent, err
}

// errNoSlot is what those get who cannot wait longer.
var errNoSlot = errors.New("the budget has no slot in time")

func (c *Client) connect(ctx context.Context) (*conn, error) {
	dial, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	conn, err := c.conns.reserve(dial)
	if ctx.Err() != nil {
		if err == nil {
			conn.Release()
		}
		return nil, context.Cause(ctx)
	}
	if err != nil {
		failure := c.fromTransport(fmt.Errorf("connect: %w", err))
		if failure.result == "timeout" {
			c.conns.tellOutage()
		}
		return nil, failure
	}
	return conn, nil
}

// exchange sends the request over conn, which has been reserved for it.
func (c *Client) exchange(ctx context.Context, conn *conn, sent func(), batch []presence.User) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) {
			if conn.http2 {
				sent()
			} else {
				conn.wire.afterWrite(sent)
			}
		},
	})
	resp, err := conn.RoundTrip(c.request(batch, time.Now()).WithContext(ctx))
	if err != nil {
		return reply{}, c.fromTransport(err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	body.Grow(max(512, 64*len(batch)))
	if _, err := body.ReadFrom(io.LimitReader(resp.Body, maxBody+1)); err != nil {
		return reply{}, c.fromTransport(fmt.Errorf("read the reply: %w", err))
	}
	if body.Len() > maxBody {
		return reply{}, &Error{Class: Weather, Status: resp.StatusCode, Err: errTooLong, result: "unreadable"}
	}
	r, failure := readReply(batch, resp.StatusCode, resp.Header, body.Bytes(), time.Now(), c.cfg.Secret)
	if failure != nil {
		return reply{}, failure
	}
	return r, nil
}

var errTooLong = errors.New("the reply is longer than 1 MiB")

// errOutage is what those get who wait for somebody else to connect.
var errOutage = fmt.Errorf("connect, in the queue: %w", context.DeadlineExceeded)

// fromTransport is the error of a request that got no reply. Of err the text
// alone is kept, cleaned: net/http quotes what the server sent.
func (c *Client) fromTransport(err error) *Error {
	result := "cut"
	var timeout net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		result = "timeout"
	}
	return &Error{Class: Weather, Err: errors.New(clean(err.Error(), c.cfg.Secret)), result: result}
}
