package relay

import (
	"context"

	"github.com/zim-presence/poller/presence"
)

// readRest looks for what the stream has not, until nothing is missing: among what
// was erased, and in the bucket.
func (s *survey) readRest(ctx context.Context) error {
	if s.whole() {
		return nil
	}
	erased, err := s.Archive.Erased(ctx)
	if err != nil {
		if !s.AcceptGap {
			return err
		}
		erased = nil // what nobody says to be erased is a gap like any other
	}
	if err := s.fill(erased); err != nil || s.whole() {
		return err
	}
	if err := s.readBucket(ctx); err != nil {
		return err
	}
	return s.fill(erased)
}

// fill finds events that are missing because they were erased: a tombstone is all
// that there is to import of them. The event behind it says of which log it was.
func (s *survey) fill(erased presence.SeqSet) error {
	if len(erased) == 0 {
		return nil
	}
	var tombstones []presence.Event
	for _, gap := range s.missing() {
		behind := s.heads[gap.Last+1]
		if behind == nil {
			continue // nobody knows how far it goes
		}
		run := presence.SeqSet{{First: gap.First, Last: gap.Last}}
		for _, part := range run.Without(run.Without(erased)) {
			for seq := part.First; seq <= part.Last; seq++ {
				tombstones = append(tombstones, tombstone(behind, seq))
			}
		}
	}
	if len(tombstones) == 0 {
		return nil
	}
	s.note(tombstones)
	return s.Found(tombstones)
}

// tombstone stands for an erased event of which the number alone is known.
func tombstone(behind *presence.Event, seq int64) presence.Event {
	return presence.Event{AppID: behind.AppID, Log: behind.Log, Encoding: behind.Encoding, Transition: presence.Transition{
		Seq: seq, Kind: presence.KindErased, ObservedAt: behind.ObservedAt, Sweep: behind.Sweep,
	}}
}
