package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

const (
	// mostOfAWord is how many messages of a word the control stream keeps, the newest:
	// sweeps come for ever.
	mostOfAWord = 100_000
	// leastOfAWord is how few it may keep: more than ever tell what was erased.
	leastOfAWord = 1000
)

// ControlStreamName returns the name of the stream that tells of an app's event
// stream. It is made with the first thing that there is to tell.
func ControlStreamName(appID uint32) string { return "PRESENCE_CONTROL_" + app(appID) }

// controlStream is the control stream as it is made.
func (c Config) controlStream() jetstream.StreamConfig {
	want := c.eventStream()
	want.Name = ControlStreamName(c.AppID)
	want.Description = "What has to be known of " + EventStreamName(c.AppID) + ", such as which events were erased. Written by the presence poller alone."
	want.Subjects = []string{presence.ControlSubject(c.AppID, ">")}
	want.MaxMsgsPerSubject = mostOfAWord // the oldest go, whatever is discarded at the other limits
	return want
}

// EnsureControl makes the control stream where it is missing and compares what
// stands with what is needed, as [Stream.Ensure] does with the others.
func (s *Stream) EnsureControl(ctx context.Context) (warnings []string, err error) {
	want := s.cfg.controlStream()
	broken, warnings, err := s.ensure(ctx, &want, true, controlAspects(&want), remakeStream(want.Name))
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", want.Name, err)
	}
	if len(broken) > 0 {
		return warnings, &MismatchError{Differences: broken}
	}
	return warnings, nil
}

// Tell tells something on the control stream. When the error is nil it is stored
// there. It may be when it is not; to tell it again within the stream's duplicate
// window, 2 minutes as it is made, changes nothing then, and later stores it twice
// under one id. A message that cannot be told at all is an [ErrUntellable].
func (s *Stream) Tell(ctx context.Context, c presence.Control) error {
	data, err := c.Data()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUntellable, err)
	}
	if err := s.tell(ctx, c, data); err != nil {
		return fmt.Errorf("tell %s: %w", ControlStreamName(s.cfg.AppID), err)
	}
	return nil
}

func (s *Stream) tell(ctx context.Context, c presence.Control, data []byte) error {
	bounded, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	name := ControlStreamName(s.cfg.AppID)
	answer, err := s.nc.RequestMsgWithContext(bounded, &nats.Msg{Subject: c.Subject(), Data: data, Header: nats.Header{
		presence.HeaderID:              {c.ID()},
		presence.HeaderType:            {presence.ContentType},
		jetstream.ExpectedStreamHeader: {name},
	}})
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		if denied := s.denied(c.Subject()); denied != nil {
			return denied
		}
		return surprise(fmt.Errorf("no ack within %s", s.patience))
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: nobody takes %s", ErrMissing, c.Subject())
	default:
		return sendFault(err)
	}
	var a ack
	if err := json.Unmarshal(answer.Data, &a); err != nil {
		return surprise(fmt.Errorf("unreadable ack %q", answer.Data))
	}
	if a.Error != nil {
		return apiFault(a.Error)
	}
	if a.Stream != name {
		return fmt.Errorf("%w: %q stored the message", ErrAltered, a.Stream)
	}
	return nil // also as a duplicate: it has been told
}
