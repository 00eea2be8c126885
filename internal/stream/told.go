package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/zim-presence/poller/presence"
)

// bucketPage is how many events of the bucket are yielded at a time.
const bucketPage = 2000

// Events returns the events that the event stream holds from first to last, two
// of its sequence numbers, both included, in their order there. A message that
// is no event is a [*ForeignError]; an [ErrSurprise] means that NATS could not
// be asked.
func (s *Stream) Events(ctx context.Context, first, last uint64) ([]presence.Told, error) {
	var events []presence.Told
	err := s.read(ctx, s.name(), ">", max(first, 1), last, func(msg stored) error {
		told, err := s.told(msg)
		events = append(events, told)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the messages %d to %d of %s: %w", first, last, s.name(), err)
	}
	slices.SortFunc(events, func(a, b presence.Told) int { return cmp.Compare(a.StreamSeq, b.StreamSeq) })
	return events, nil
}

// Bucket yields the last event of each user as the bucket holds it, in pages and
// in no certain order. There is none where the bucket is missing. What is no
// event, as a message of somebody else was copied, is passed over. The first
// error of yield ends the reading and is returned as it is.
func (s *Stream) Bucket(ctx context.Context, yield func([]presence.Told) error) error {
	name := BucketStreamName(s.cfg.AppID)
	info, err := s.info(ctx, name)
	if errors.Is(err, ErrMissing) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	var page []presence.Told
	var yielded error
	err = s.read(ctx, name, ">", max(info.State.FirstSeq, 1), info.State.LastSeq, func(msg stored) error {
		told, err := s.told(msg)
		if foreign := new(ForeignError); errors.As(err, &foreign) {
			return nil
		}
		if err != nil {
			return err
		}
		if page = append(page, told); len(page) < bucketPage {
			return nil
		}
		yielded = yield(page)
		page = nil
		return yielded
	})
	switch {
	case yielded != nil:
		return yielded
	case err != nil:
		return fmt.Errorf("read %s: %w", name, err)
	case len(page) > 0:
		return yield(page)
	}
	return nil
}

// BucketNewest returns the newest event that the bucket holds; Seq 0 when it is
// empty or missing, or when its newest message is no event.
func (s *Stream) BucketNewest(ctx context.Context) (presence.Told, error) {
	name := BucketStreamName(s.cfg.AppID)
	var answer struct {
		Message stored `json:"message"`
	}
	err := s.request(ctx, "STREAM.MSG.GET."+name, selector{LastBySubject: "$KV." + BucketName(s.cfg.AppID) + ".>"}, &answer)
	var told presence.Told
	if err == nil {
		told, err = s.told(answer.Message)
	}
	var foreign *ForeignError
	if isCode(err, codeNoMessageFound) || errors.Is(err, ErrMissing) || errors.As(err, &foreign) {
		return presence.Told{}, nil
	}
	if err != nil {
		return presence.Told{}, fmt.Errorf("read the newest event of %s: %w", name, err)
	}
	return told, nil
}

// told reads a message as an event.
func (s *Stream) told(msg stored) (presence.Told, error) {
	seq, id, err := s.numbered(msg)
	return presence.Told{StreamSeq: msg.Seq, Seq: seq, ID: id, Subject: msg.Subject, Data: msg.Data}, err
}
