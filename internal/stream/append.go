package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/zim-presence/poller/presence"
)

// Append publishes events in order behind the message with sequence after, with
// hundreds in flight, each of them on condition that the one before it is the
// last message of the stream. It returns how many from the first on were acked as expected, and why
// the next one was not; the error is nil only if all were. Events behind n may
// have been stored too: read the tail again. It gives up when no ack comes for 5
// seconds, and promptly when the connection breaks or ctx ends.
//
// acked, if not nil, is called in order, from this goroutine, as acks come.
func (s *Stream) Append(ctx context.Context, after uint64, events []presence.Event, acked func(i int)) (n int, err error) {
	r := &round{
		stream: s, name: s.name(), subjects: subjectPrefix(s.cfg.AppID), after: after, acked: acked, end: len(events),
		message: func(i int) (letter, error) { return letterOf(&events[i]) },
	}
	if n, err = r.append(ctx); err != nil {
		next := &events[min(n, len(events)-1)]
		return n, fmt.Errorf("append event %s behind %d of %s: %w", next.ID(), after+uint64(n), s.name(), s.explain(ctx, s.name(), err))
	}
	return n, nil
}

// letterOf is a live event on its way.
func letterOf(e *presence.Event) (letter, error) {
	data, err := e.Data()
	return letter{id: e.ID(), subject: e.Subject(), data: data, header: nats.Header{
		presence.HeaderSeq:  {strconv.FormatInt(e.Seq, 10)},
		presence.HeaderType: {presence.ContentType},
	}}, err
}

// explain tells a stream without a leader, which is weather, from no stream.
func (s *Stream) explain(ctx context.Context, name string, err error) error {
	if !errors.Is(err, nats.ErrNoResponders) {
		return err
	}
	if _, ierr := s.info(ctx, name); errors.Is(ierr, ErrMissing) {
		return ierr
	}
	return err
}
