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

// Tail reads the end of the event stream, from the leader. All of it but the
// bucket's newest event was true at one moment. A last message that is no event
// is a [*ForeignError], with StreamSeq and Created of the tail; with any other error
// the tail is zero. A stream that moves faster than it can be read is an
// [ErrSurprise].
func (s *Stream) Tail(ctx context.Context) (presence.Tail, error) {
	info, err := s.info(ctx, s.name())
	for range tailAttempts {
		if err != nil {
			return presence.Tail{}, s.tailErr(err)
		}
		var tail presence.Tail
		if tail, err = s.tailAt(ctx, info); err == nil && !tail.Found {
			tail.Bucket, err = s.BucketNewest(ctx)
		}
		if err != nil {
			return foreignEnd(tail, err), s.tailErr(err)
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

// tailAt reads the last message that info names, or else the newest event that
// is left.
func (s *Stream) tailAt(ctx context.Context, info *jetstream.StreamInfo) (presence.Tail, error) {
	tail := presence.Tail{StreamSeq: info.State.LastSeq, First: info.State.FirstSeq, Created: info.Created}
	if info.State.Msgs == 0 {
		return tail, nil
	}
	msg, err := s.message(ctx, selector{Seq: tail.StreamSeq})
	if isCode(err, codeNoMessageFound) {
		return s.kept(ctx, tail)
	}
	if err != nil {
		return presence.Tail{}, err
	}
	if tail.Seq, tail.ID, err = s.numbered(msg); err != nil {
		return tail, err
	}
	tail.Found, tail.Kept, tail.KeptAt, tail.Subject, tail.Data = true, tail.Seq, msg.Seq, msg.Subject, msg.Data
	return tail, nil
}

// kept adds to the tail the newest event that is left. What stood behind it may
// have been events, or a foreign message that an operator has deleted.
func (s *Stream) kept(ctx context.Context, tail presence.Tail) (presence.Tail, error) {
	msg, err := s.message(ctx, selector{LastBySubject: subjectPrefix(s.cfg.AppID) + "*.*"})
	if isCode(err, codeNoMessageFound) {
		return tail, nil
	}
	if err != nil {
		return presence.Tail{}, err
	}
	if tail.Kept, _, err = s.numbered(msg); err != nil {
		return tail, err
	}
	tail.KeptAt = msg.Seq
	return tail, nil
}

// foreignEnd is what is known of an end that is no event; zero for other errors.
func foreignEnd(tail presence.Tail, err error) presence.Tail {
	var foreign *ForeignError
	if !errors.As(err, &foreign) {
		return presence.Tail{}
	}
	return presence.Tail{StreamSeq: tail.StreamSeq, Created: tail.Created}
}

// numbered reads the number and the id of an event's message. A header that is
// none is somebody else's as well.
func (s *Stream) numbered(msg stored) (seq int64, id string, err error) {
	header, err := msg.header()
	if err == nil {
		seq, err = strconv.ParseInt(header.Get(presence.HeaderSeq), 10, 64)
	}
	if err != nil || seq < 1 {
		return 0, "", &ForeignError{Stream: s.name(), Subject: msg.Subject, StreamSeq: msg.Seq}
	}
	return seq, header.Get(presence.HeaderID), nil
}

// stored is a message as the API returns it.
type stored struct {
	Seq     uint64 `json:"seq"`
	Subject string `json:"subject"`
	Header  []byte `json:"hdrs"`
	Data    []byte `json:"data"`
}

// selector names one message: by its place, or as the last or the next on a
// subject.
type selector struct {
	Seq           uint64 `json:"seq,omitempty"`
	LastBySubject string `json:"last_by_subj,omitempty"`
	// NextBySubject with Seq: the first at or behind that place.
	NextBySubject string `json:"next_by_subj,omitempty"`
}

// message reads one message by the API that the leader answers; a direct get
// may come from a replica that is behind.
func (s *Stream) message(ctx context.Context, which selector) (stored, error) {
	var answer struct {
		Message stored `json:"message"`
	}
	err := s.request(ctx, "STREAM.MSG.GET."+s.name(), which, &answer)
	return answer.Message, err
}

func (m stored) header() (nats.Header, error) {
	if len(m.Header) == 0 {
		return nil, nil
	}
	return nats.DecodeHeadersMsg(m.Header)
}
