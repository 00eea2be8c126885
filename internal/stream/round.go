package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// inFlight is how many messages are sent ahead of their acks. Those of one round
// that are not acked are told again, so it bounds what is sent in vain.
const inFlight = 512

// letter is a message on its way to a stream.
type letter struct {
	id, subject string
	header      nats.Header // but for the id and what the round expects
	data        []byte
}

// round appends one row of messages to one stream:
//
//	send ──▶ server ──▶ acks ──▶ take ──▶ tell (in order)
//	  ▲                                      │
//	  └────────── room in the window ────────┘
//
// All of it runs in the caller's goroutine. The acks come on an inbox of the
// round's own, so that a late one of an earlier round cannot be mistaken.
type round struct {
	stream   *Stream
	name     string // of the JetStream stream
	subjects string // how those of its messages begin
	after    uint64 // the message that has to be its last one
	message  func(i int) (letter, error)
	acked    func(int) // may be nil

	inbox  string // with the dot; the index of the message follows
	acks   chan *nats.Msg
	sub    *nats.Subscription
	status chan nats.Status

	sent int    // messages given to the connection
	last string // id of the last of them
	told int    // messages acked, from the first on
	good []bool // acked, perhaps out of order
	end  int    // the first that is known to have failed, or all
	why  error  // of end
}

// append does it, and returns how many from the first on are stored as expected.
func (r *round) append(ctx context.Context) (n int, err error) {
	if r.end == 0 {
		return 0, nil
	}
	r.good = make([]bool, r.end)
	if err = r.open(); err != nil {
		return 0, err
	}
	defer r.close()
	err = r.run(ctx)
	return r.told, err
}

func (r *round) open() (err error) {
	nc := r.stream.nc
	// The listener comes first: a break behind it is seen.
	r.status = nc.StatusChanged(nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	r.inbox = nc.NewInbox() + "."
	r.acks = make(chan *nats.Msg, 2*inFlight)
	if err = r.connected(); err == nil {
		r.sub, err = nc.ChanSubscribe(r.inbox+"*", r.acks)
	}
	if err != nil {
		nc.RemoveStatusListener(r.status)
		return sendFault(err)
	}
	return nil
}

func (r *round) close() {
	// It can fail only where the connection is closed, and the subscription with it.
	_ = r.sub.Unsubscribe()
	r.stream.nc.RemoveStatusListener(r.status)
}

func (r *round) connected() error {
	switch nc := r.stream.nc; {
	case nc.IsClosed():
		return nats.ErrConnectionClosed
	case nc.IsConnected():
		return nil
	case nc.LastError() != nil:
		return fmt.Errorf("%w: %w", nats.ErrDisconnected, nc.LastError())
	}
	return nats.ErrDisconnected
}

func (r *round) run(ctx context.Context) error {
	quiet := time.NewTimer(r.stream.patience)
	defer quiet.Stop()
	for r.told < r.end {
		if err := ctx.Err(); err != nil {
			r.cut(err)
			break
		}
		r.send()
		if r.told == r.end {
			break
		}
		select {
		case m := <-r.acks:
			r.take(m)
			r.takeAll()
			quiet.Reset(r.stream.patience)
		case <-ctx.Done():
			r.cut(ctx.Err())
		case <-r.status:
			if err := r.connected(); err != nil {
				r.cut(sendFault(err))
			} else {
				r.cut(surprise(errors.New("the connection broke and came back")))
			}
		case <-quiet.C:
			r.cut(r.silence())
		}
	}
	return r.why
}

// silence says why no ack came.
func (r *round) silence() error {
	if denied := r.stream.denied(r.subjects); denied != nil {
		return denied
	}
	return surprise(fmt.Errorf("no ack within %s", r.stream.patience))
}

// send fills the window, in half windows to spare the connection's lock.
func (r *round) send() {
	if r.sent-r.told > inFlight/2 {
		return
	}
	for r.sent < r.end && r.sent-r.told < inFlight {
		m, err := r.message(r.sent)
		if err == nil {
			r.expect(&m)
			if err = r.stream.nc.PublishMsg(&nats.Msg{Subject: m.subject, Reply: r.inbox + strconv.Itoa(r.sent), Header: m.header, Data: m.data}); err != nil {
				err = sendFault(err)
			}
		}
		if err != nil {
			r.fail(r.sent, err)
			return
		}
		r.sent, r.last = r.sent+1, m.id
	}
}

// expect makes a message depend on the one before it.
func (r *round) expect(m *letter) {
	m.header[presence.HeaderID] = []string{m.id}
	m.header[jetstream.ExpectedLastSeqHeader] = []string{strconv.FormatUint(r.after+uint64(r.sent), 10)}
	if r.sent == 0 {
		m.header[jetstream.ExpectedStreamHeader] = []string{r.name}
	} else {
		// The sequence alone is not enough with many in flight: where a foreign
		// message takes the place of one message, the next one finds the sequence that
		// it expects, and a hole would be stored.
		m.header[jetstream.ExpectedLastMsgIDHeader] = []string{r.last}
	}
}

// take reads one ack and tells what is now acked without a gap.
func (r *round) take(m *nats.Msg) {
	i, err := strconv.Atoi(m.Subject[len(r.inbox):])
	if err != nil || i < 0 || i >= r.sent {
		return
	}
	if err := judge(m, r.name, r.after+uint64(i)+1); err != nil {
		r.fail(i, err)
		return
	}
	r.good[i] = true
	for r.told < r.end && r.good[r.told] {
		r.told++
		if r.acked != nil {
			r.acked(r.told - 1)
		}
	}
}

// takeAll reads the acks that are there already.
func (r *round) takeAll() {
	for {
		select {
		case m := <-r.acks:
			r.take(m)
		default:
			return
		}
	}
}

// fail ends the round before message i; what is in flight before it may still be
// acked.
func (r *round) fail(i int, err error) {
	if i < r.end {
		r.end, r.why = i, err
	}
}

// cut ends the round with what is acked by now.
func (r *round) cut(err error) {
	r.takeAll()
	if r.told < r.end {
		r.end, r.why = r.told, err
	}
}
