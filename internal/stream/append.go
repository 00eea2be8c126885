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

// inFlight is how many events are sent ahead of their acks. The events of one
// call that are not acked are told again, so it bounds what is sent in vain.
const inFlight = 512

// Append publishes events in order behind the message with sequence after, with
// hundreds in flight, each of them on condition that the one before it is the
// last message of the stream. It returns how many from the first on were acked as expected, and why
// the next one was not; the error is nil only if all were. Events behind n may
// have been stored too: read the tail again. It gives up when no ack comes for 5
// seconds, and promptly when the connection breaks or ctx ends.
//
// acked, if not nil, is called in order, from this goroutine, as acks come.
func (s *Stream) Append(ctx context.Context, after uint64, events []presence.Event, acked func(i int)) (n int, err error) {
	if len(events) == 0 {
		return 0, nil
	}
	r := &round{stream: s, after: after, events: events, acked: acked, end: len(events), good: make([]bool, len(events))}
	if err = r.open(); err == nil {
		defer r.close()
		err = r.run(ctx)
	}
	if err != nil {
		next := &events[min(r.told, len(events)-1)]
		return r.told, fmt.Errorf("append event %s behind %d of %s: %w", next.ID(), after+uint64(r.told), s.name(), s.explain(ctx, err))
	}
	return r.told, nil
}

// explain tells a stream without a leader, which is weather, from no stream.
func (s *Stream) explain(ctx context.Context, err error) error {
	if !errors.Is(err, nats.ErrNoResponders) {
		return err
	}
	if _, ierr := s.info(ctx, s.name()); errors.Is(ierr, ErrMissing) {
		return ierr
	}
	return err
}

// round is one Append:
//
//	send ──▶ server ──▶ acks ──▶ take ──▶ tell (in order)
//	  ▲                                      │
//	  └────────── room in the window ────────┘
//
// All of it runs in the caller's goroutine. The acks come on an inbox of the
// round's own, so that a late one of an earlier round cannot be mistaken.
type round struct {
	stream *Stream
	after  uint64
	events []presence.Event
	acked  func(int)

	inbox  string // with the dot; the index of the event follows
	acks   chan *nats.Msg
	sub    *nats.Subscription
	status chan nats.Status

	sent int    // events given to the connection
	told int    // events acked, from the first on
	good []bool // acked, perhaps out of order
	end  int    // the first that is known to have failed, or all
	why  error  // of end
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
	if denied := r.stream.denied(subjectPrefix(r.stream.cfg.AppID)); denied != nil {
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
		msg, err := r.message(r.sent)
		if err == nil {
			if err = r.stream.nc.PublishMsg(msg); err != nil {
				err = sendFault(err)
			}
		}
		if err != nil {
			r.fail(r.sent, err)
			return
		}
		r.sent++
	}
}

func (r *round) message(i int) (*nats.Msg, error) {
	e := &r.events[i]
	data, err := e.Data()
	if err != nil {
		return nil, err
	}
	header := nats.Header{
		presence.HeaderID:               {e.ID()},
		presence.HeaderSeq:              {strconv.FormatInt(e.Seq, 10)},
		presence.HeaderType:             {presence.ContentType},
		jetstream.ExpectedLastSeqHeader: {strconv.FormatUint(r.after+uint64(i), 10)},
	}
	if i == 0 {
		header.Set(jetstream.ExpectedStreamHeader, r.stream.name())
	} else {
		// The sequence alone is not enough with many in flight: where a foreign
		// message takes the place of one event, the next one finds the sequence that
		// it expects, and a hole would be stored.
		header.Set(jetstream.ExpectedLastMsgIDHeader, r.events[i-1].ID())
	}
	return &nats.Msg{Subject: e.Subject(), Reply: r.inbox + strconv.Itoa(i), Header: header, Data: data}, nil
}

// take reads one ack and tells what is now acked without a gap.
func (r *round) take(m *nats.Msg) {
	i, err := strconv.Atoi(m.Subject[len(r.inbox):])
	if err != nil || i < 0 || i >= r.sent {
		return
	}
	if err := r.stream.judge(m, r.after+uint64(i)+1); err != nil {
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

// fail ends the round before event i; what is in flight before it may still be
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
