package relay

import (
	"cmp"
	"context"
	"slices"

	"github.com/zim-presence/poller/presence"
)

// whole tells whether the stream has everything behind the fork.
func (s *survey) whole() bool { return s.tail.Found && len(s.missing()) == 0 }

// trust takes the ledger's own note of what was told for the fork, where the
// stream does not reach back to it. The note is of this ledger's time before the
// fork, since nothing was told behind it. It must be of this stream, or of a time
// from which something was told that is still there: the database may be one
// that was never told here. And a note of what the stream itself refutes is none.
func (s *survey) trust(ctx context.Context) error {
	if s.agreed || s.saved.Seq == 0 || s.saved.Seq >= s.oldest || s.saved.Seq > s.newest {
		return nil
	}
	if !s.saved.StreamCreated.Equal(presence.Instant(s.tail.Created)) {
		row, found, err := s.Ledger.Event(ctx, s.saved.Seq)
		if err != nil || !found || !s.logs[row.Log] {
			return err
		}
	}
	s.fork = max(s.fork, s.saved.Seq)
	return nil
}

// readBucket looks for the fork, and for what is missing in the stream, among
// the last events of the users.
func (s *survey) readBucket(ctx context.Context) error {
	slices.SortFunc(s.found, bySpan)
	stream := s.found
	err := s.Archive.Bucket(ctx, func(told []presence.Told) error {
		events, err := s.read(told, false)
		if err != nil {
			return err
		}
		agreeing, err := s.agreeing(ctx, events, told)
		if err != nil {
			return err
		}
		var more []presence.Event
		for i := range events {
			seq := events[i].Seq
			s.last = max(s.last, seq)
			switch {
			case agreeing[seq] && !s.agreed && seq < s.oldest:
				s.fork = max(s.fork, seq)
			case !agreeing[seq] && !holds(stream, seq) && !(s.agreed && seq <= s.fork):
				more = append(more, events[i])
				s.found = append(s.found, Span{seq, seq})
				s.heads[seq] = &events[i]
			}
		}
		if len(more) == 0 {
			return nil
		}
		return s.Found(more)
	})
	if err != nil {
		return err
	}
	return s.trust(ctx)
}

// concludeEnd finds the newest event that was ever told, where the stream has no
// end that can be read: its numbers and the events' keep their distance.
func (s *survey) concludeEnd() {
	s.last = max(s.last, s.fork)
	if s.tail.Found || s.tail.Kept > 0 || !s.saved.StreamCreated.Equal(presence.Instant(s.tail.Created)) {
		return
	}
	s.last = max(s.last, s.saved.Seq+int64(s.tail.StreamSeq)-int64(s.saved.StreamSeq))
}

// missing returns the numbers behind the fork, up to the newest that was told,
// that were not found.
func (s *survey) missing() (missing []Span) {
	if s.blind() {
		return []Span{{s.fork + 1, 0}}
	}
	slices.SortFunc(s.found, bySpan)
	next := s.fork + 1
	for _, span := range s.found {
		if span.First > next {
			missing = append(missing, Span{next, span.First - 1})
		}
		next = max(next, span.Last+1)
	}
	if next <= s.last {
		missing = append(missing, Span{next, s.last})
	}
	return missing
}

// blind tells whether nothing at all says what was told.
func (s *survey) blind() bool {
	return len(s.found) == 0 && !s.agreed && len(s.logs) == 0 && s.last <= s.fork
}

func bySpan(a, b Span) int { return cmp.Compare(a.First, b.First) }

// holds tells whether a number is in one of the spans, which are sorted.
func holds(spans []Span, seq int64) bool {
	i, at := slices.BinarySearchFunc(spans, Span{First: seq}, bySpan)
	return at || i > 0 && spans[i-1].Last >= seq
}
