package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// NoJetStreamError says that nobody can be asked for streams.
type NoJetStreamError struct{ Err error }

func (e *NoJetStreamError) Error() string { return e.Err.Error() }
func (e *NoJetStreamError) Unwrap() error { return e.Err }

const (
	codeNotEnabledForAccount = 10039
	codeNotEnabled           = 10076
)

func noJetStream(err error) error {
	if isCode(err, codeNotEnabled) || isCode(err, codeNotEnabledForAccount) || errors.Is(err, nats.ErrNoResponders) {
		return &NoJetStreamError{err}
	}
	return err
}

// Reached is a connection that was made once, to find out what is wrong: it does
// not come back by itself, and it hears at once what the server does not permit.
// Its methods may be called from any goroutine.
type Reached struct {
	*nats.Conn

	mu      sync.Mutex // guards both below
	refused []error    // what the server said that it does not permit, in order
	change  chan struct{}
}

// Reach connects once to the servers that opts name, within ctx. The error is that
// of the last server; it names no credential.
func Reach(ctx context.Context, opts Options) (*Reached, error) {
	servers, err := opts.servers()
	if err != nil {
		return nil, err
	}
	files, err := opts.files()
	if err != nil {
		return nil, err
	}
	r := &Reached{change: make(chan struct{})}
	dialer := newOnceDialer(ctx)
	options := append([]nats.Option{
		nats.Name(opts.Name), nats.Timeout(remaining(ctx)), nats.NoReconnect(), nats.SetCustomDialer(dialer),
		nats.FlusherTimeout(flushTimeout), nats.ErrorHandler(r.hear),
	}, files...)
	nc, err := nats.Connect(servers, options...)
	dialer.leave()
	switch {
	case err == nil:
	case errors.Is(err, nats.ErrNoServers) && dialer.err != nil:
		return nil, dialer.err // the client's own words say less
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	default:
		return nil, err
	}
	r.Conn = nc
	return r, nil
}

// remaining is how long ctx lasts yet; the patience of one answer where it has no end.
func remaining(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return max(time.Millisecond, time.Until(end))
	}
	return patience
}

// onceDialer dials within a context, though the client's interface has none, and closes
// what it has dialed when that ends. The client calls it from one goroutine.
type onceDialer struct {
	dial  func(network, address string) (net.Conn, error)
	watch func(net.Conn) (stop func() bool)
	stops []func() bool
	err   error // of the last dial
}

func newOnceDialer(ctx context.Context) *onceDialer {
	return &onceDialer{
		dial: func(network, address string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
		watch: func(conn net.Conn) (stop func() bool) {
			return context.AfterFunc(ctx, func() { _ = conn.Close() })
		},
	}
}

// Dial dials.
func (d *onceDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := d.dial(network, address)
	if d.err = err; err != nil {
		return nil, err
	}
	d.stops = append(d.stops, d.watch(conn))
	return conn, nil
}

// leave leaves what was dialed to the client.
func (d *onceDialer) leave() {
	for _, stop := range d.stops {
		stop()
	}
}

// hear notes what the server does not permit.
func (r *Reached) hear(_ *nats.Conn, _ *nats.Subscription, err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = append(r.refused, err)
	close(r.change)
	r.change = make(chan struct{})
}

// inbox is where every answer comes.
const inbox = "_INBOX.>"

// deniedError is an [ErrDenied] of a certain subject.
type deniedError struct{ subject, verb string }

func (e *deniedError) Error() string { return ErrDenied.Error() + ": " + e.verb + " " + e.subject }
func (e *deniedError) Unwrap() error { return ErrDenied }

// denied says whether the server has refused a subject, or the inbox on which its
// answer would come; and what tells of the next refusal.
func (r *Reached) denied(subject string) (<-chan struct{}, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, refusal := range r.refused {
		said := refusal.Error()
		if strings.Contains(said, `Publish to "`+subject+`"`) {
			return r.change, &deniedError{subject, "publish to"}
		}
		if strings.Contains(said, `Subscription to "_INBOX.`) {
			return r.change, &deniedError{inbox, "subscribe to"}
		}
	}
	return r.change, nil
}

// publish sends a message that nobody need answer, and returns when the server has judged
// whether it may be sent.
func (r *Reached) publish(ctx context.Context, m *nats.Msg) error {
	if err := r.PublishMsg(m); err != nil {
		return err
	}
	// What the server does not permit it says before it answers the flush.
	if err := r.FlushWithContext(ctx); err != nil {
		return err
	}
	for newest := r.LastError(); ; {
		change, denied := r.denied(m.Subject)
		if denied != nil || !errors.Is(newest, nats.ErrPermissionViolation) || r.heard(newest) {
			return denied
		}
		select {
		case <-change:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// heard tells whether a refusal, and with it every earlier one, has been noted.
func (r *Reached) heard(refusal error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.refused, refusal)
}

// ask sends a request and decodes its answer into what is not nil. A refusal of the
// server is the error at once, and not a silence.
func (r *Reached) ask(ctx context.Context, subject string, body []byte, answer any) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel(nil)
	watching.Go(func() {
		for {
			change, err := r.denied(subject)
			if err != nil {
				cancel(err)
				return
			}
			select {
			case <-change:
			case <-ctx.Done():
				return
			}
		}
	})
	msg, err := r.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Data: body})
	switch {
	case err == nil:
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return fmt.Errorf("no answer to %s", strings.TrimPrefix(subject, "$JS.API."))
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default:
		return fmt.Errorf("ask %s: %w", strings.TrimPrefix(subject, "$JS.API."), err)
	}
	var fault struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(msg.Data, &fault); err != nil {
		return fmt.Errorf("answer to %s: %w", subject, err)
	}
	if fault.Error != nil {
		return fault.Error
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(msg.Data, answer)
}
