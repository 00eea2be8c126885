package chaos

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// subscriber is a program that relies on the promise: it reads one app's events
// as they come, over a connection of its own, and keeps count. A restart of the
// server is its own business: it goes on behind the last message that it has.
type subscriber struct {
	app      uint32
	message  uint64           // the last one's place in the stream
	seq      int64            // of the last event
	users    map[string]int64 // each user's last event
	state    map[string]presence.Status
	heard    atomic.Int64 // seq, for others to look at
	findings []string
}

// run follows the stream until ctx ends.
func (s *subscriber) run(ctx context.Context, url string) {
	s.users, s.state = map[string]int64{}, map[string]presence.Status{}
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true), nats.ReconnectWait(100*time.Millisecond),
		nats.PingInterval(2*time.Second))
	if err != nil {
		s.blame("connect: %v", err)
		return
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		s.blame("connect: %v", err)
		return
	}
	for ctx.Err() == nil {
		_ = s.follow(ctx, js) // weather
		pause(ctx, 100*time.Millisecond)
	}
}

// follow reads until something goes wrong.
func (s *subscriber) follow(ctx context.Context, js jetstream.JetStream) error {
	asking, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	consumer, err := js.OrderedConsumer(asking, "PRESENCE_"+strconv.Itoa(int(s.app)), jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: s.message + 1,
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if err := s.hear(m); err != nil {
			return err
		}
	}
}

// hear holds one message against the promise.
func (s *subscriber) hear(m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	e, err := presence.ParseEvent(m.Data())
	if err != nil {
		s.blame("message %d: %v", meta.Sequence.Stream, err)
		return nil
	}
	switch {
	case meta.Sequence.Stream != s.message+1:
		s.blame("message %d behind message %d", meta.Sequence.Stream, s.message)
	case e.Seq > s.seq+1:
		s.blame("lost: event %d behind event %d", e.Seq, s.seq)
	case e.Seq == s.seq:
		s.blame("doubled: event %d", e.Seq)
	case e.Seq <= s.seq:
		s.blame("reordered: event %d behind event %d", e.Seq, s.seq)
	}
	if e.PrevSeq != s.users[e.User.ID] || e.From != s.state[e.User.ID] {
		s.blame("event %d of %q from %s behind event %d, the last was event %d to %s", e.Seq, e.User.ID, e.From, e.PrevSeq,
			s.users[e.User.ID], s.state[e.User.ID])
	}
	s.message, s.seq, s.users[e.User.ID], s.state[e.User.ID] = meta.Sequence.Stream, e.Seq, e.Seq, e.To
	s.heard.Store(e.Seq)
	return nil
}

func (s *subscriber) blame(format string, args ...any) {
	s.findings = append(s.findings, fmt.Sprintf("app %d: the subscriber heard: ", s.app)+fmt.Sprintf(format, args...))
}
