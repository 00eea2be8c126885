package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// erasures are the numbers of events that were erased on somebody's request, as
// far as they were read.
type erasures struct {
	created time.Time // of the stream
	pos     uint64    // its last message that was read
	seqs    presence.SeqSet
	untold  []presence.SeqRange // to the program
}

// unexplained is what of a hole nobody has told to be erased.
func (f *Follower) unexplained(ctx context.Context, hole presence.SeqRange) (presence.SeqSet, error) {
	left := presence.NewSeqSet(hole).Without(f.erased.seqs)
	if len(left) == 0 {
		return nil, nil
	}
	if err := f.readErased(ctx); err != nil {
		return nil, err
	}
	return left.Without(f.erased.seqs), nil
}

// readErased reads on what was told to be erased. It is told before it is deleted,
// so that who finds a hole finds it told.
func (f *Follower) readErased(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stream, err := f.js.Stream(asking, f.words())
	if err == nil {
		if info := stream.CachedInfo(); !info.Created.Equal(f.erased.created) {
			f.erased.created, f.erased.pos = info.Created, 0
		} else if info.State.LastSeq <= f.erased.pos {
			return nil
		}
		err = f.readWords(ctx, stream.CachedInfo().State.LastSeq)
	}
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil
	case err != nil && f.refused(f.words()):
		f.log.Warn("may not read what was told to be erased: every hole is a gap", "err", err)
		return nil
	case err != nil:
		return fmt.Errorf("read %s: %w", f.words(), err)
	}
	return nil
}

// readWords reads the whole stream, other words too: what is not read of it proves
// that a replica is behind.
func (f *Follower) readWords(ctx context.Context, last uint64) error {
	var told []presence.SeqRange
	sure := func() error { return nil }
	met, err := f.readAll(ctx, f.words(), f.erased.pos+1, last, nil, "", sure, func(m *message) error {
		f.erased.pos = m.pos
		if m.raw.Subject() != presence.ControlSubject(f.cfg.App, presence.ErasedWord) {
			return nil
		}
		word, err := presence.ParseErased(m.raw.Data())
		if err != nil || word.AppID != f.cfg.App {
			f.log.Warn("passed over a message that does not tell what was erased", "message", m.pos, "err", err)
			return nil
		}
		told = append(told, word.Seqs...)
		return nil
	})
	if err == nil && !met {
		err = f.gone(ctx, f.words(), last)
	}
	if f.cfg.TellErased {
		f.erased.untold = slices.Concat(f.erased.untold, told)
	}
	f.erased.seqs = f.erased.seqs.Union(presence.NewSeqSet(told...))
	return err
}

// refused tells whether the server has last refused something about a stream.
func (f *Follower) refused(stream string) bool {
	err := f.js.Conn().LastError()
	return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), stream)
}

// tellErased tells what was erased, if that is wanted.
func (f *Follower) tellErased(ctx context.Context, each telling) error {
	if !f.cfg.TellErased {
		return nil
	}
	if err := f.readErased(ctx); err != nil {
		return err
	}
	for len(f.erased.untold) > 0 {
		run := f.erased.untold[0]
		if err := f.tell(each, Item{What: Erased, First: run.First, Last: run.Last, Seq: f.chain.seq}); err != nil {
			return err
		}
		f.erased.untold = f.erased.untold[1:]
	}
	return nil
}
