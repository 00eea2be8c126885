package relay

import (
	"context"
	"errors"
	"math"

	"github.com/zim-presence/poller/presence"
)

// Rows are the ledger's events by their numbers.
type Rows interface {
	At(ctx context.Context, seqs []int64) ([]presence.Event, error)
}

// Archive is what was told: the stream's messages, and the bucket, which may
// remember more.
type Archive interface {
	Events(ctx context.Context, first, last uint64) ([]presence.Told, error)
	Bucket(ctx context.Context, yield func([]presence.Told) error) error
	BucketNewest(ctx context.Context) (presence.Told, error)
	// Erased is which events were told and then erased.
	Erased(ctx context.Context) (presence.SeqSet, error)
}

// Survey finds out how the ledger differs from what was told. It writes nothing.
//
//	ledger  1 ──── fork ──── what was never told
//	stream  1 ──── fork ──── what was told ──── last
type Survey struct {
	App     uint32
	Ledger  Ledger
	Rows    Rows // of that ledger
	Cursors Cursors
	Stream  Stream
	Archive Archive // of that stream
	// Found is called with events that were told and may be behind the fork, each
	// once, in no certain order; more of them may turn out not to be. Not nil.
	Found func([]presence.Event) error
	// AcceptGap: events that are nowhere any more are no error.
	AcceptGap bool
}

// survey is one survey under way.
type survey struct {
	*Survey
	tail   presence.Tail
	newest int64           // the ledger's
	saved  presence.Cursor // the ledger's
	logs   map[string]bool // of what was told

	agreed bool   // the fork was found in the stream
	fork   int64  // the newest known to agree
	oldest int64  // of the stream's events behind the fork
	last   int64  // the newest told
	found  []Span // what was found
	// heads is the first event of each of these, by number.
	heads map[int64]*presence.Event
}

// Run surveys. What stands in the way of an adoption is an error: a [*GapError],
// with the split; an [*AheadError], a message that is no event, [ErrMoved], or
// whatever the doors say.
func (s *Survey) Run(ctx context.Context) (Split, error) {
	split := Split{}
	var err error
	if split.Why, err = s.halted(ctx); split.Why == nil || err != nil {
		return Split{}, err
	}
	it := &survey{Survey: s, logs: map[string]bool{}, heads: map[int64]*presence.Event{}, oldest: math.MaxInt64}
	if err := it.run(ctx); err != nil {
		return Split{}, err
	}
	split.Fork, split.Missing = it.fork, it.missing()
	split.Told = presence.Cursor{Seq: it.last, StreamSeq: it.tail.StreamSeq, StreamCreated: presence.Instant(it.tail.Created)}
	for _, span := range it.found {
		split.Imported += max(0, span.Last-max(span.First-1, it.fork))
	}
	if len(split.Missing) > 0 && !s.AcceptGap {
		return split, &GapError{s.App, split.Missing}
	}
	return split, nil
}

// halted returns what halts the relay, as far as an adoption mends it.
func (s *Survey) halted(ctx context.Context) (why, err error) {
	judge := &Relay{App: s.App, Ledger: s.Ledger, Cursors: s.Cursors, Stream: s.Stream}
	err = judge.Compare(ctx)
	contradiction, hole := new(ContradictionError), new(HoleError)
	if errors.As(err, &contradiction) || errors.As(err, &hole) {
		return err, nil
	}
	return nil, err
}

func (s *survey) run(ctx context.Context) (err error) {
	if s.tail, err = s.Stream.Tail(ctx); err != nil {
		return err
	}
	if s.newest, err = s.Ledger.Newest(ctx); err != nil {
		return err
	}
	if s.saved, err = s.Cursors.Cursor(ctx); err != nil {
		return err
	}
	if err := s.notAhead(ctx); err != nil {
		return err
	}
	if err := s.readStream(ctx); err != nil {
		return err
	}
	if err := s.trust(ctx); err != nil {
		return err
	}
	if err := s.readRest(ctx); err != nil {
		return err
	}
	s.concludeEnd()
	again, err := s.Stream.Tail(ctx)
	if err == nil && (again.StreamSeq != s.tail.StreamSeq || !again.Created.Equal(s.tail.Created)) {
		err = ErrMoved
	}
	return err
}

// notAhead refuses a bucket that remembers more than a stream that has an end:
// what it alone knows could not be told again, nor be taken back from it.
func (s *survey) notAhead(ctx context.Context) error {
	if !s.tail.Found {
		return nil
	}
	newest, err := s.Archive.BucketNewest(ctx)
	if err == nil && newest.Seq > s.tail.Seq {
		err = &AheadError{s.App, newest.Seq, s.tail.Seq}
	}
	return err
}
