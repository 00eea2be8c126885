// Package zim is the door to ZIM's QueryUserOnlineState: it asks about users in
// batches and turns the replies into observations and misses. It imports
// presence alone, and the standard library's HTTP.
//
//	users → [batch: 100 ids, 7 KB] → [in flight: rate × timeout]
//	      → connection → slot of the budget → signed request → reply
//	      → observations and misses            ↑ repeated, split ┘
//
// The invariants that it keeps:
//
//   - One slot of the budget is one request on the wire: a repetition takes its
//     own slot and its own signature, and net/http repeats nothing by itself,
//     because each request goes over a connection that was chosen for it.
//   - The slot is taken when the connection stands, so that handshakes do not
//     bunch the requests.
//   - Nobody is observed whom the reply did not name with a status that is known
//     to mean something. All others are missed.
//   - No error holds the secret, a signature or a URL.
package zim

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// maxInFlight bounds the requests in flight, and so the sockets, where rate and
// timeout would allow more.
const maxInFlight = 256

// Budget hands out the right to send one request each, as the limiter does.
type Budget interface {
	// Take waits for a slot. The function is called when the request has been
	// written, or has failed to be, and perhaps again later.
	Take(ctx context.Context) (sent func(), err error)
	// Refused is told that a request, sent then, was answered to be one too many.
	// No slot goes for wait, or longer.
	Refused(sent time.Time, wait time.Duration)
	// Pause lets no slot go before until: the server has asked to be left alone for
	// another reason than the rate.
	Pause(until time.Time)
	// Accepted is told of a request, sent then, that was answered as asked.
	Accepted(sent time.Time)
}

// Config says whom to ask, and how. What is not said to be nil for something is
// required. What is in [Settings] too is how it begins.
type Config struct {
	// BaseURL is absolute, http or https; its path is kept.
	BaseURL string
	AppID   uint32
	Secret  string
	// Rate is that of the budget, in requests a second. Together with Timeout it
	// bounds what is in flight: more than rate × timeout requests never are, by
	// Little's law, while each gets its slot.
	Rate float64
	// BatchSize is the most ids in one request, 1 to 100.
	BatchSize int
	// Timeout is that of one attempt, from the slot to the last byte; and that
	// of a new connection.
	Timeout time.Duration
	Budget  Budget
	// Allowed, when not nil, is asked as late as can be whether anything may be sent
	// to ZIM. A request that has its slot and is not allowed any more fails. It is
	// called from many goroutines and must not wait.
	Allowed func() bool
	// Now is what answers are stamped with; nil for the machine's clock.
	Now func() time.Time
	// TLS overrides the default TLS configuration; nil for none.
	TLS *tls.Config
	// Attempted, when not nil, is told of each request after it. It is called
	// from many goroutines.
	Attempted func(Attempt)
	// Retried, when not nil, is told each time that a batch is to be asked once more.
	Retried func()
	// Outage, when not nil, is told that ZIM does not answer any more, with an
	// [*OutageError], and nil when it does again. It must not wait, nor call the client.
	Outage func(error)
	Log    zerolog.Logger
}

// Client asks about the users of one app. Ask is for one goroutine at a time, and
// so is Confirm; the two may run beside each other.
type Client struct {
	cfg     Config // but for what is in the course
	now     atomic.Pointer[course]
	sweep   lane
	confirm lane
	breaker *breaker
	skew    skew
	reach   reach
	// These two are those of the package; tests are less patient.
	probeEvery, outlast time.Duration

	mu       sync.Mutex // guards all below
	stopped  *Error     // what stopped the app; nil while it goes
	probed   time.Time  // when that was last tried
	suspects map[string]*suspect
	retired  []*conns // of earlier courses, until nothing is in flight on them
}

// New returns a client. It connects when it has something to ask.
func New(cfg Config) (*Client, error) {
	first, err := newCourse(Settings{cfg.BaseURL, cfg.Secret, cfg.Rate, cfg.BatchSize, cfg.Timeout})
	if err != nil {
		return nil, err
	}
	cfg.BaseURL, cfg.Secret, cfg.Rate, cfg.BatchSize, cfg.Timeout = "", "", 0, 0, 0 // what counts is the course
	if cfg.Attempted == nil {
		cfg.Attempted = func(Attempt) {}
	}
	if cfg.Retried == nil {
		cfg.Retried = func() {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Log = cfg.Log.With().Uint32("app", cfg.AppID).Logger()
	c := &Client{
		cfg: cfg, sweep: sweepLane(), confirm: confirmLane(),
		suspects: map[string]*suspect{}, probeEvery: probeEvery, outlast: outlast,
	}
	first.conns = c.dialling(first)
	c.now.Store(first)
	c.skew.warn = c.warnOfSkew
	c.breaker = newBreaker(c.tellOutage)
	return c, nil
}

// Close closes the connections. Nothing may be in flight.
func (c *Client) Close() {
	c.course().conns.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.retired {
		p.close()
	}
	c.retired = nil
}

// transport makes connections. One flush is one TLS record, and so one Write of the wire,
// which tells then that the request has left: in several a process that is stopped
// between two would send the rest when its slot is long over.
func transport(timeout time.Duration, base *tls.Config) *http.Transport {
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if base != nil {
		secure = base.Clone()
	}
	secure.DynamicRecordSizingDisabled = true
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialWire(&net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second}),
		TLSClientConfig:       secure,
		TLSHandshakeTimeout:   timeout,
		ResponseHeaderTimeout: timeout,
		Protocols:             protocols,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: timeout},
	}
}
