package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zim-presence/poller/presence"
)

// TellErased tells on the control stream which events were erased. When the error
// is nil it is stored there. Some of it may be when it is not; telling it again is
// the same messages.
func (s *Stream) TellErased(ctx context.Context, seqs presence.SeqSet, at time.Time) error {
	for _, e := range presence.ErasedOf(s.cfg.AppID, seqs, at) {
		if err := s.Tell(ctx, &e); err != nil {
			return fmt.Errorf("%d events were erased: %w", e.Seqs.Len(), err)
		}
	}
	return nil
}

// Erased returns which events the control stream tells as erased; none where it
// is missing. Messages of other words are not read.
func (s *Stream) Erased(ctx context.Context) (presence.SeqSet, error) {
	name := ControlStreamName(s.cfg.AppID)
	info, err := s.info(ctx, name)
	if errors.Is(err, ErrMissing) {
		return nil, nil
	}
	var runs []presence.SeqRange
	if err == nil {
		err = s.read(ctx, name, presence.ControlSubject(s.cfg.AppID, presence.ErasedWord), max(info.State.FirstSeq, 1), info.State.LastSeq, func(msg stored) error {
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
