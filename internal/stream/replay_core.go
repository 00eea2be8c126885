package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/zim-presence/poller/presence"
)

// CoreReplay tells a replay to who listens at the moment, and stores nothing.
type CoreReplay struct {
	stream *Stream
	name   string
}

// CoreReplay returns the teller of a replay by name that has no stream.
func (s *Stream) CoreReplay(name string) (*CoreReplay, error) {
	if err := presence.CheckReplayName(name); err != nil {
		return nil, err
	}
	return &CoreReplay{stream: s, name: name}, nil
}

// Ensure finds out whether there is a connection; where it is none, that is an
// [ErrSurprise].
func (c *CoreReplay) Ensure(ctx context.Context) (warnings []string, err error) {
	return nil, c.flush(ctx)
}

// End knows nothing.
func (c *CoreReplay) End(context.Context) (presence.ReplayEnd, error) {
	return presence.ReplayEnd{}, nil
}

// Tell publishes messages in order. n is all of them when the server has got them
// over one connection, and else 0: some of them may have been heard.
func (c *CoreReplay) Tell(ctx context.Context, messages []presence.Retold, acked func(n int)) (n int, err error) {
	nc := c.stream.nc
	connection := nc.Stats().Reconnects
	for i := range messages {
		if err = ctx.Err(); err != nil {
			break
		}
		m := letterAgain(&messages[i])
		m.header[presence.HeaderID] = []string{m.id}
		if err = nc.PublishMsg(&nats.Msg{Subject: m.subject, Header: m.header, Data: m.data}); err != nil {
			err = sendFault(err)
			break
		}
	}
	if err == nil {
		err = c.flush(ctx)
	}
	if err == nil && nc.Stats().Reconnects != connection {
		err = surprise(errors.New("the connection broke and came back"))
	}
	if err != nil {
		return 0, fmt.Errorf("publish %d messages of the replay %s: %w", len(messages), c.name, err)
	}
	acked(len(messages))
	return len(messages), nil
}

// flush waits until the server has got everything.
func (c *CoreReplay) flush(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, c.stream.patience)
	defer cancel()
	if err := c.stream.nc.FlushWithContext(bounded); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return sendFault(err)
	}
	return c.stream.denied(presence.ReplaySubjects(c.name, c.stream.cfg.AppID))
}
