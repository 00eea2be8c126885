package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
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
	return want
}

// EnsureControl makes the control stream where it is missing and compares what
// stands with what is needed, as [Stream.Ensure] does with the others.
func (s *Stream) EnsureControl(ctx context.Context) (warnings []string, err error) {
	want := s.cfg.controlStream()
	broken, warnings, err := s.ensure(ctx, &want, true, eventAspects(&want),
		fmt.Sprintf("nats stream rm %s, and let the poller make it anew", want.Name))
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", want.Name, err)
	}
	if len(broken) > 0 {
		return warnings, &MismatchError{Differences: broken}
	}
	return warnings, nil
}

// TellErased tells on the control stream which events were erased. When the error
// is nil it is stored there. Some of it may be when it is not; telling it again is
// the same messages.
func (s *Stream) TellErased(ctx context.Context, seqs presence.SeqSet, at time.Time) error {
	for _, e := range presence.ErasedOf(s.cfg.AppID, seqs, at) {
		if err := s.tellErased(ctx, &e); err != nil {
			return fmt.Errorf("tell %s that %d events were erased: %w", ControlStreamName(s.cfg.AppID), e.Seqs.Len(), err)
		}
	}
	return nil
}

func (s *Stream) tellErased(ctx context.Context, e *presence.Erased) error {
	data, err := e.Data()
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	name := ControlStreamName(s.cfg.AppID)
	answer, err := s.nc.RequestMsgWithContext(bounded, &nats.Msg{Subject: e.Subject(), Data: data, Header: nats.Header{
		presence.HeaderID:              {e.ID()},
		presence.HeaderType:            {presence.ContentType},
		jetstream.ExpectedStreamHeader: {name},
	}})
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		if denied := s.denied(e.Subject()); denied != nil {
			return denied
		}
		return surprise(fmt.Errorf("no ack within %s", s.patience))
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: nobody takes %s", ErrMissing, e.Subject())
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
	return nil // also as a duplicate: the same numbers have been told
}

// Erased returns which events the control stream tells as erased; none where it
// is missing. Messages of other kinds are passed over.
func (s *Stream) Erased(ctx context.Context) (presence.SeqSet, error) {
	name := ControlStreamName(s.cfg.AppID)
	info, err := s.info(ctx, name)
	if errors.Is(err, ErrMissing) {
		return nil, nil
	}
	var runs []presence.SeqRange
	if err == nil {
		err = s.read(ctx, name, max(info.State.FirstSeq, 1), info.State.LastSeq, func(msg stored) error {
			if msg.Subject != presence.ControlSubject(s.cfg.AppID, presence.ErasedWord) {
				return nil
			}
			e, err := presence.ParseErased(msg.Data)
			if err == nil && e.AppID == s.cfg.AppID {
				runs = append(runs, e.Seqs...)
			}
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read what was erased from %s: %w", name, err)
	}
	return presence.NewSeqSet(runs...), nil
}
