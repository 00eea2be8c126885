package zim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/zim-presence/poller/presence"
)

// attempt sends one request about a batch and reads its reply. The error is an
// [*Error], or what ended ctx or the budget; no request was sent then.
func (a *asking) attempt(ctx context.Context, batch []presence.User) (reply, presence.Answer, error) {
	c := a.client
	g, err := a.clearance(ctx)
	if err != nil {
		return reply{}, presence.Answer{}, err
	}
	if g.probe {
		defer c.breaker.leave()
	}
	a.n.requests.Add(1)
	defer c.reach.begin()()
	stamp, asked := c.cfg.Now(), time.Now()
	r, err := c.exchange(ctx, g.way, g.sent, batch)
	at := time.Now()
	g.sent() // however it ended, the slot is spent
	a.judge(ctx, asked, g.probe, err)
	c.tellBudget(asked, r, err)
	answer := presence.Answer{AskedAt: presence.Instant(stamp), At: presence.Instant(c.cfg.Now())}
	c.cfg.Attempted(newAttempt(a.lane.name, batch, r, answer, at.Sub(asked), err))
	if err != nil && ctx.Err() != nil {
		return reply{}, presence.Answer{}, context.Cause(ctx)
	}
	return r, answer, c.outdated(g.way.course, err)
}

// outdated has a batch asked once more that was refused for a secret, or at an address,
// which is not in force any more: that does not stop the app.
func (c *Client) outdated(by *course, err error) error {
	now := c.course()
	if e := (*Error)(nil); errors.As(err, &e) && e.Class == Stop && (by.Secret != now.Secret || by.BaseURL != now.BaseURL) {
		again := *e
		again.Class = Weather
		return &again
	}
	return err
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

// gone is a request that may leave at once.
type gone struct {
	way   way
	sent  func() // that of the slot
	probe bool   // has to leave the breaker
}

// way is a connection that stands, and the course by which a request goes over it.
type way struct {
	*conn
	*course
}

// clearance returns when a request may leave: ZIM answers, or may be tried again; a
// connection stands; and there is a slot.
func (a *asking) clearance(ctx context.Context) (gone, error) {
	for {
		probe, err := a.admit(ctx)
		if err != nil {
			return gone{}, err
		}
		way, sent, err := a.slot(ctx, probe)
		if err == nil {
			return gone{way, sent, probe}, nil
		}
		if probe {
			a.client.breaker.leave()
		}
		if !errors.Is(err, errReopened) {
			return gone{}, err
		}
	}
}

// slot returns a connection that stands and a slot to use at once. A few requests
// of a lane at a time wait for their slot with a connection in hand; the others
// wait for one of them. When ZIM has ceased to answer meanwhile they wait for that
// instead, or each in turn would try to connect.
func (a *asking) slot(ctx context.Context, probe bool) (way, func(), error) {
	select {
	case a.lane.seats <- struct{}{}:
	case <-ctx.Done():
		return way{}, nil, context.Cause(ctx)
	}
	defer func() { <-a.lane.seats }()
	if !probe && a.client.breaker.down() != nil {
		return way{}, nil, errReopened
	}
	w, err := a.connect(ctx, probe)
	if err != nil {
		return way{}, nil, err
	}
	if !probe && a.client.breaker.down() != nil {
		w.Release()
		return way{}, nil, errReopened
	}
	sent, err := a.take(ctx)
	if err != nil {
		w.Release()
		return way{}, nil, err
	}
	now := a.client.course()
	if w.Err() == nil && w.conns == now.conns {
		return way{w.conn, now}, sent, nil
	}
	// It has died while it waited, or leads elsewhere by now, and the slot would be
	// spent on nothing.
	w.Release()
	if w, err = a.connect(ctx, probe); err != nil {
		sent()
		return way{}, nil, err
	}
	return w, sent, nil
}

// take waits for a slot of the budget, for as long as the lane has patience.
func (a *asking) take(ctx context.Context) (sent func(), err error) {
	if a.patience == 0 {
		return a.client.cfg.Budget.Take(ctx)
	}
	short, cancel := context.WithTimeoutCause(ctx, a.patience, errNoSlot)
	defer cancel()
	sent, err = a.client.cfg.Budget.Take(short)
	if err != nil && ctx.Err() == nil && short.Err() != nil {
		return nil, &Error{Class: Weather, Err: errNoSlot, held: true}
	}
	return sent, err
}

// errNoSlot is what those get who cannot wait longer.
var errNoSlot = errors.New("the budget has no slot in time")

// connect returns a connection that stands.
func (a *asking) connect(ctx context.Context, probe bool) (way, error) {
	began, course := time.Now(), a.client.course()
	a.client.weedRetired()
	dial, cancel := context.WithTimeout(ctx, course.Timeout)
	defer cancel()
	defer a.client.reach.begin()()
	conn, err := course.conns.reserve(dial)
	a.client.retire(course.conns)
	if ctx.Err() != nil {
		if err == nil {
			conn.Release()
		}
		return way{}, context.Cause(ctx)
	}
	if err != nil {
		failure := fromTransport(fmt.Errorf("connect: %w", err), course.Secret)
		a.client.breaker.bad(began, time.Now(), probe, failure.result == "timeout", failure)
		return way{}, failure
	}
	return way{conn, course}, nil
}

// exchange sends the request on its way, which has been reserved for it.
func (c *Client) exchange(ctx context.Context, way way, sent func(), batch []presence.User) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, way.Timeout)
	defer cancel()
	var written atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) {
			written.Store(true)
			if way.http2 {
				sent()
			} else {
				way.wire.afterWrite(sent)
			}
		},
	})
	// Signed with the machine's own time, and not with that of answers, which may be
	// ahead of it for hours once the machine's was set back: when somebody mends the
	// clock, ZIM has to take the next signature.
	signed := time.Now()
	resp, err := way.RoundTrip(way.request(c.cfg.AppID, batch, signed).WithContext(ctx))
	if err != nil {
		if way.http2 && ctx.Err() != nil && !written.Load() {
			_ = way.Close() // or it might still leave, when its slot counts as spent
		}
		if timedOut(err) {
			err = fmt.Errorf("no answer within %s: %w", way.Timeout, err)
		}
		return reply{}, fromTransport(err, way.Secret)
	}
	defer resp.Body.Close()
	c.skew.hear(resp.Header, signed, time.Now())
	var body bytes.Buffer
	body.Grow(max(512, 64*len(batch)))
	if _, err := body.ReadFrom(io.LimitReader(resp.Body, maxBody+1)); err != nil {
		return reply{}, fromTransport(fmt.Errorf("read the reply: %w", err), way.Secret)
	}
	if body.Len() > maxBody {
		return reply{}, &Error{Class: Weather, Status: resp.StatusCode, Err: errTooLong, result: "unreadable"}
	}
	r, failure := readReply(batch, resp.StatusCode, resp.Header, body.Bytes(), time.Now(), way.Secret)
	if failure == nil {
		return r, nil
	}
	if ahead, known := c.skew.ahead(); failure.Class == Expired && known {
		failure.Skew = ahead
	}
	return reply{}, failure
}

var errTooLong = errors.New("the reply is longer than 1 MiB")

// fromTransport is the error of a request that got no reply. Of err the text
// alone is kept, cleaned: net/http quotes what the server sent.
func fromTransport(err error, secret string) *Error {
	result := "cut"
	if timedOut(err) {
		result = "timeout"
	}
	return &Error{Class: Weather, Err: errors.New(clean(err.Error(), secret)), result: result}
}

func timedOut(err error) bool {
	late, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && late.Timeout()
}
