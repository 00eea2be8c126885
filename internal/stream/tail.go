package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// tailAttempts bounds how often the tail is read again while it moves.
const tailAttempts = 4

// Tail reads the end of the event stream, from the leader. All of it was true
// at one moment. A last message that is no event is a [*ForeignError]; a stream
// that moves faster than it can be read is an [ErrSurprise].
func (s *Stream) Tail(ctx context.Context) (presence.Tail, error) {
	info, err := s.info(ctx, s.name())
	for range tailAttempts {
		if err != nil {
			return presence.Tail{}, s.tailErr(err)
		}
		var tail presence.Tail
		if tail, err = s.tailAt(ctx, info); err != nil {
			return presence.Tail{}, s.tailErr(err)
		}
		var again *jetstream.StreamInfo
		again, err = s.info(ctx, s.name())
		if err == nil && again.State.LastSeq == tail.StreamSeq && again.Created.Equal(tail.Created) {
			return tail, nil
		}
		info = again
	}
	return presence.Tail{}, s.tailErr(surprise(errors.New("it moves while it is read")))
}

func (s *Stream) tailErr(err error) error {
	return fmt.Errorf("read the tail of %s: %w", s.name(), err)
}

// tailAt reads the last message that info names.
func (s *Stream) tailAt(ctx context.Context, info *jetstream.StreamInfo) (presence.Tail, error) {
	tail := presence.Tail{StreamSeq: info.State.LastSeq, Created: info.Created}
	if info.State.Msgs == 0 {
		return tail, nil
	}
	msg, err := s.message(ctx, tail.StreamSeq)
	if isCode(err, codeNoMessageFound) {
		return tail, nil
	}
	if err != nil {
		return presence.Tail{}, err
	}
	header, err := msg.header()
	if err != nil {
		return presence.Tail{}, err
	}
	seq, err := strconv.ParseInt(header.Get(presence.HeaderSeq), 10, 64)
	if err != nil || seq < 1 {
		return presence.Tail{}, &ForeignError{Stream: s.name(), Subject: msg.Subject, StreamSeq: tail.StreamSeq}
	}
	tail.Found, tail.Seq, tail.ID = true, seq, header.Get(presence.HeaderID)
	tail.Subject, tail.Data = msg.Subject, msg.Data
	return tail, nil
}

// stored is a message as the API returns it.
type stored struct {
	Subject string `json:"subject"`
	Header  []byte `json:"hdrs"`
	Data    []byte `json:"data"`
}

// message reads one message by the API that the leader answers; a direct get
// may come from a replica that is behind.
func (s *Stream) message(ctx context.Context, seq uint64) (stored, error) {
	var answer struct {
		Message stored `json:"message"`
	}
	ask := struct {
		Seq uint64 `json:"seq"`
	}{seq}
	err := s.request(ctx, "STREAM.MSG.GET."+s.name(), ask, &answer)
	return answer.Message, err
}

func (m stored) header() (nats.Header, error) {
	if len(m.Header) == 0 {
		return nil, nil
	}
	return nats.DecodeHeadersMsg(m.Header)
}
