package stream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// BucketState tells how the bucket stands; the zero value where it, or the event
// stream, is missing. An [ErrSurprise] means that NATS could not be asked.
func (s *Stream) BucketState(ctx context.Context) (presence.BucketState, error) {
	bucket, err := s.info(ctx, BucketStreamName(s.cfg.AppID))
	var events *jetstream.StreamInfo
	if err == nil {
		events, err = s.info(ctx, s.name())
	}
	var newest presence.Told
	if err == nil {
		newest, err = s.BucketNewest(ctx)
	}
	var nobodys int64
	if err == nil {
		nobodys, err = s.nobodysKeys(ctx)
	}
	if errors.Is(err, ErrMissing) {
		return presence.BucketState{}, nil
	}
	if err != nil {
		return presence.BucketState{}, fmt.Errorf("look at the bucket of app %d: %w", s.cfg.AppID, err)
	}
	return presence.BucketState{
		Created: presence.Instant(bucket.Created), Keys: int64(bucket.State.NumSubjects) - nobodys, Newest: newest.Seq, Drained: events.State.Msgs == 0,
	}, nil
}

// nobodysKeys counts the entry under which events that were erased come, 1 or 0.
func (s *Stream) nobodysKeys(ctx context.Context) (int64, error) {
	key := selector{LastBySubject: "$KV." + BucketName(s.cfg.AppID) + "." + presence.ErasedToken}
	err := s.request(ctx, "STREAM.MSG.GET."+BucketStreamName(s.cfg.AppID), key, &struct{}{})
	switch {
	case err == nil:
		return 1, nil
	case isCode(err, codeNoMessageFound):
		return 0, nil
	}
	return 0, err
}

// PurgeKey takes a user's entry out of the bucket if it is that event, and never
// a later one. The bucket denies the deletion of messages; a purge of one key is
// what it allows.
func (s *Stream) PurgeKey(ctx context.Context, user string, seq int64) error {
	name := BucketStreamName(s.cfg.AppID)
	subject := "$KV." + BucketName(s.cfg.AppID) + "." + presence.EncodeUser(user)
	var entry struct {
		Message stored `json:"message"`
	}
	err := s.request(ctx, "STREAM.MSG.GET."+name, selector{LastBySubject: subject}, &entry)
	if isCode(err, codeNoMessageFound) {
		return nil
	}
	var told presence.Told
	if err == nil {
		told, err = s.told(entry.Message)
	}
	if foreign := new(ForeignError); errors.As(err, &foreign) || err == nil && told.Seq != seq {
		return nil
	}
	if err == nil {
		ask := struct {
			Filter string `json:"filter"`
			Behind uint64 `json:"seq"` // this one stays, and what is behind it
		}{subject, told.StreamSeq + 1}
		err = s.request(ctx, "STREAM.PURGE."+name, ask, &struct{}{})
	}
	if err != nil {
		return fmt.Errorf("purge the key of event %d from the bucket of app %d: %w", seq, s.cfg.AppID, err)
	}
	return nil
}
