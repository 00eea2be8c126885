package stream

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// trailing is how long the bucket may be behind the event stream before it is
// left for another time; after a restart of the server it is, for seconds.
const trailing = time.Minute

// settled is how long nothing has come that the server says not to come.
const settled = 2 * time.Second

// Erase deletes a user's messages from a place and returns how many. The server
// overwrites what it deletes in its files, but for the bucket, which allows a purge
// alone: there the bytes stay in the file until the server rewrites it. The error
// says why the rest is still there.
//
// The bucket is waited for, up to a minute, until it has taken over whatever the
// event stream held, or else it might take over an event that is being deleted.
// So it comes last of the two.
func (s *Stream) Erase(ctx context.Context, p Place, found []Mention) (erased int, err error) {
	if p.bucket {
		erased, err = s.purgeUser(ctx, p)
	} else {
		erased, err = s.deleteAll(ctx, p, found)
	}
	if err != nil {
		return erased, fmt.Errorf("erase from %s: %w", p.Stream, err)
	}
	return erased, nil
}

func (s *Stream) deleteAll(ctx context.Context, p Place, found []Mention) (deleted int, err error) {
	for _, m := range found {
		ask := struct {
			Seq     uint64 `json:"seq"`
			NoErase bool   `json:"no_erase"`
		}{Seq: m.StreamSeq}
		err := s.request(ctx, "STREAM.MSG.DELETE."+p.Stream, ask, &struct{}{})
		if isCode(err, codeSequenceNotFound) {
			continue // it has expired, or an earlier request was not heard of
		}
		if isCode(err, codeMsgDeleteFailed) {
			err = fmt.Errorf("%w: %w", ErrDenied, err)
		}
		if err != nil {
			return deleted, err
		}
		deleted++
	}
	return deleted, nil
}

func (s *Stream) purgeUser(ctx context.Context, p Place) (purged int, err error) {
	if err := s.caughtUp(ctx); errors.Is(err, ErrMissing) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	ask := struct {
		Filter string `json:"filter"`
	}{p.subject}
	var answer struct {
		Purged int `json:"purged"`
	}
	err = s.request(ctx, "STREAM.PURGE."+p.Stream, ask, &answer)
	if isCode(err, codePurgeFailed) {
		err = fmt.Errorf("%w: %w", ErrDenied, err)
	}
	return answer.Purged, err
}

// caughtUp waits until the bucket has all that the event stream holds.
func (s *Stream) caughtUp(ctx context.Context) error {
	began := time.Now()
	for {
		done, err := s.shows(ctx, time.Since(began) > settled)
		if err != nil || done {
			return err
		}
		if time.Since(began) > trailing {
			return surprise(fmt.Errorf("the bucket has not caught up with %s within %s", s.name(), trailing))
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// shows tells whether the bucket shows the last event of the stream. It never does
// where the key of that event has been purged; then, if that may be believed, the
// server's own word counts that nothing is left to be copied. It is a moment old.
func (s *Stream) shows(ctx context.Context, believe bool) (done bool, err error) {
	bucket, err := s.info(ctx, BucketStreamName(s.cfg.AppID))
	if err != nil {
		return false, err
	}
	tail, err := s.Tail(ctx)
	if err != nil || tail.First > tail.StreamSeq {
		return err == nil, err // or the stream is empty
	}
	for _, source := range bucket.Sources {
		if believe && source.Lag == 0 && source.Active >= 0 {
			return true, nil
		}
	}
	newest, err := s.BucketNewest(ctx)
	return err == nil && tail.Found && newest.Seq >= tail.Seq, err
}
