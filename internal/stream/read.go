package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// walkers is in how many places a stream is read at once. It needs no more
// permission than reading one message does, unlike a consumer.
const walkers = 64

// read has take called with each message of a stream on a subject, ">" for all, from
// first to last, both included, in no certain order, from this goroutine. An error of take ends it.
// It gives up when no answer comes for as long as the stream's patience.
func (s *Stream) read(ctx context.Context, name, subject string, first, last uint64, take func(stored) error) error {
	if first > last {
		return nil
	}
	r := &reading{stream: s, verb: "STREAM.MSG.GET." + name, subject: subject, take: take}
	if err := r.open(first, last); err != nil {
		return err
	}
	defer r.close()
	return r.run(ctx)
}

// reading is one read: each walker asks for the message at or behind the place
// where it stands, until it is through with its part.
//
//	ask ──▶ server ──▶ answers ──▶ walk: take, and ask for the next
//	 ▲                                      │
//	 └──────────────────────────────────────┘
//
// The answers come on an inbox of the reading's own, so that a late one of an
// earlier reading cannot be mistaken.
type reading struct {
	stream  *Stream
	verb    string
	subject string
	take    func(stored) error

	inbox   string // with the dot; the index of the walker follows
	answers chan *nats.Msg
	sub     *nats.Subscription
	parts   []part
	walking int // walkers that wait for an answer
}

// part is what one walker has yet to read, both ends included.
type part struct{ next, last uint64 }

func (r *reading) open(first, last uint64) (err error) {
	nc := r.stream.nc
	r.inbox = nc.NewInbox() + "."
	r.answers = make(chan *nats.Msg, 2*walkers)
	if r.sub, err = nc.ChanSubscribe(r.inbox+"*", r.answers); err != nil {
		return sendFault(err)
	}
	length := (last-first)/walkers + 1
	for ; first <= last; first += length {
		r.parts = append(r.parts, part{first, min(last, first+length-1)})
	}
	return nil
}

// close can fail only where the connection is closed, and the subscription with it.
func (r *reading) close() { _ = r.sub.Unsubscribe() }

func (r *reading) run(ctx context.Context) error {
	for i := range r.parts {
		if err := r.ask(i); err != nil {
			return err
		}
	}
	quiet := time.NewTimer(r.stream.patience)
	defer quiet.Stop()
	for r.walking > 0 {
		select {
		case m := <-r.answers:
			if err := r.walk(m); err != nil {
				return err
			}
			quiet.Reset(r.stream.patience)
		case <-ctx.Done():
			return ctx.Err()
		case <-quiet.C:
			if denied := r.stream.denied("$JS.API." + r.verb); denied != nil {
				return denied
			}
			return surprise(fmt.Errorf("no answer to %s within %s", r.verb, r.stream.patience))
		}
	}
	return nil
}

func (r *reading) ask(i int) error {
	body, err := json.Marshal(selector{Seq: r.parts[i].next, NextBySubject: r.subject})
	if err != nil {
		return err
	}
	if err := r.stream.nc.PublishRequest("$JS.API."+r.verb, r.inbox+strconv.Itoa(i), body); err != nil {
		return sendFault(err)
	}
	r.walking++
	return nil
}

// walk reads one answer.
func (r *reading) walk(m *nats.Msg) error {
	i, errIndex := strconv.Atoi(m.Subject[len(r.inbox):])
	if errIndex != nil || i < 0 || i >= len(r.parts) {
		return nil //nolint:nilerr // it is no answer to anything that was asked
	}
	r.walking--
	msg, err := r.decode(m)
	if isCode(err, codeNoMessageFound) || err == nil && msg.Seq > r.parts[i].last {
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.take(msg); err != nil {
		return err
	}
	if r.parts[i].next = msg.Seq + 1; r.parts[i].next > r.parts[i].last {
		return nil
	}
	return r.ask(i)
}

func (r *reading) decode(m *nats.Msg) (stored, error) {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return stored{}, surprise(errors.New("no JetStream answers to " + r.verb))
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message stored              `json:"message"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return stored{}, fmt.Errorf("answer to %s: %w", r.verb, err)
	}
	if answer.Error != nil {
		return stored{}, apiFault(answer.Error)
	}
	return answer.Message, nil
}
