package zim

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"time"
)

// Settings are what may change while a client asks; [Config] says what they mean.
type Settings struct {
	BaseURL   string
	Secret    string
	Rate      float64
	BatchSize int
	Timeout   time.Duration
}

// course is settings, and what follows from them. It never changes: a request goes by
// one course from its slot to its reply, and a call of Ask or Confirm has one size of
// batches.
type course struct {
	Settings
	target   *url.URL
	conns    *conns
	inFlight int
	patience time.Duration // of confirmations, see [lane]
}

// Check says what is wrong with settings, if [Client.Set] or [New] would refuse them.
func (s Settings) Check() error {
	_, err := newCourse(s)
	return err
}

func newCourse(s Settings) (*course, error) {
	target, err := url.Parse(s.BaseURL)
	if err != nil {
		return nil, errors.New("base url of ZIM cannot be parsed")
	}
	if target.Scheme != "http" && target.Scheme != "https" || target.Host == "" || target.RawQuery != "" {
		return nil, fmt.Errorf("base url of ZIM: want http(s)://host[:port][/path], have scheme %q and host %q", target.Scheme, target.Host)
	}
	if target.Path == "" {
		target.Path = "/"
	}
	if s.BatchSize < 1 || s.BatchSize > 100 {
		return nil, fmt.Errorf("batch size %d is not 1 to 100", s.BatchSize)
	}
	return &course{
		Settings: s, target: target, patience: confirmPatience(s.Rate),
		inFlight: int(min(maxInFlight, max(lead, math.Ceil(s.Rate*s.Timeout.Seconds())))),
	}, nil
}

// dialling returns connections for a course.
func (c *Client) dialling(to *course) *conns {
	return newConns(to.target, transport(to.Timeout, c.cfg.TLS), c.cfg.Allowed)
}

// course is that of the moment.
func (c *Client) course() *course { return c.now.Load() }

// Set has everything asked by other settings from now on, also within a call that is
// under way; but for the size of its batches and how many are in flight. A request
// that has its slot already goes as it would have. An app that was stopped is tried
// with the next call, for what stopped it may be mended. After an error all is as
// before. The rate is to be told to the budget as well.
func (c *Client) Set(s Settings) error {
	next, err := newCourse(s)
	if err != nil {
		return err
	}
	c.mu.Lock()
	before := c.course()
	if s.BaseURL == before.BaseURL && s.Timeout == before.Timeout {
		next.conns = before.conns
	} else {
		next.conns = c.dialling(next)
		c.retired = append(c.retired, before.conns)
	}
	if s.BaseURL != before.BaseURL || s.Secret != before.Secret {
		c.probed = time.Time{}
	}
	c.now.Store(next)
	c.mu.Unlock()
	if s.BaseURL != before.BaseURL {
		c.breaker.hurry()
	}
	return nil
}

// retire has connections closed that are not those of the moment any more: one may have
// been opened when the others had been closed already.
func (c *Client) retire(p *conns) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p != c.course().conns && !slices.Contains(c.retired, p) {
		c.retired = append(c.retired, p)
	}
}

// weedRetired closes connections of earlier courses on which nothing is in flight.
func (c *Client) weedRetired() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired = slices.DeleteFunc(c.retired, (*conns).closeIdle)
}
