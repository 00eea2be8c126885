package audit

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// messageWithin is how long the next message of a stream may take to come.
const messageWithin = time.Minute

// shore is a stream as it stood at a moment: what it holds up to last is judged.
type shore struct {
	stream  jetstream.Stream // nil where it is missing
	created time.Time
	first   uint64 // the oldest message
	last    uint64 // the newest that is there, 0 for none
	ended   uint64 // the newest that ever was
	moving  bool   // messages move to the end: all is read when the reading has caught up
}

// noteStreams notes where the streams end, before the database is read.
func (it *inspection) noteStreams(ctx context.Context) (err error) {
	app := strconv.FormatUint(uint64(it.App), 10)
	if it.bucket, err = it.shore(ctx, "KV_presence_"+app); err != nil {
		return err
	}
	if it.control, err = it.shore(ctx, "PRESENCE_CONTROL_"+app); err != nil {
		return err
	}
	if it.events, err = it.shore(ctx, "PRESENCE_"+app); err != nil || it.events.last == 0 {
		return err
	}
	// The newest event says how far has been told; a message that is none is judged later.
	return it.events.each(ctx, it.events.last, func(m jetstream.Msg) error {
		it.noted, _ = strconv.ParseInt(m.Headers().Get(presence.HeaderSeq), 10, 64) // what is no number is 0
		return nil
	})
}

// patiently asks again, a few times, where no answer comes: a cluster may be choosing
// a leader.
func patiently(ctx context.Context, ask func() error) (err error) {
	for range 5 {
		err = ask()
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrTimeout) && !errors.Is(err, nats.ErrNoResponders) {
			return err
		}
	}
	return err
}

// shore looks where a stream stands. A missing one has nothing.
func (a *Audit) shore(ctx context.Context, name string) (shore, error) {
	var stream jetstream.Stream
	var info *jetstream.StreamInfo
	err := patiently(ctx, func() (err error) {
		if stream, err = a.JS.Stream(ctx, name); err == nil {
			info, err = stream.Info(ctx, jetstream.WithDeletedDetails(true))
		}
		return err
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return shore{}, nil
	}
	if err != nil {
		return shore{}, err
	}
	s := shore{stream: stream, created: info.Created, first: info.State.FirstSeq, ended: info.State.LastSeq}
	if info.State.Msgs == 0 {
		return s, nil
	}
	// The leader says where the end is. A consumer may run on a replica that is
	// behind, and think that it has come to it.
	s.last = info.State.LastSeq
	for slices.Contains(info.State.Deleted, s.last) {
		s.last--
	}
	return s, nil
}

// each calls yield with every message from one on up to the last, in order. Of a
// stream in which messages move, one may come twice, and none is passed over.
func (s *shore) each(ctx context.Context, from uint64, yield func(jetstream.Msg) error) error {
	if s.last == 0 || from > s.last {
		return nil
	}
	var consumer jetstream.Consumer
	err := patiently(ctx, func() (err error) {
		consumer, err = s.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
			DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1),
		})
		return err
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(5000))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextMaxWait(messageWithin))
		if errors.Is(err, nats.ErrTimeout) && s.shrunk(ctx) {
			return nil
		}
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if s.moving || meta.Sequence.Stream <= s.last { // else the last has gone meanwhile
			err = yield(m)
		}
		if err != nil || meta.Sequence.Stream >= s.last && !(s.moving && meta.NumPending > 0) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
	}
}

// shrunk tells whether the last message has gone meanwhile, and none came behind it.
func (s *shore) shrunk(ctx context.Context) bool {
	info, err := s.stream.Info(ctx, jetstream.WithDeletedDetails(true))
	return err == nil && (info.State.Msgs == 0 || info.State.LastSeq == s.last && slices.Contains(info.State.Deleted, s.last))
}
