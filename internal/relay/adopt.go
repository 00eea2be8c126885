package relay

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/zim-presence/poller/presence"
)

// Book is the ledger, as a survey reads it.
type Book interface {
	Ledger
	At(ctx context.Context, seqs []int64) ([]presence.Event, error)
}

// Source is what was told, and where: the stream, and the bucket, which may
// remember more.
type Source interface {
	Stream
	Events(ctx context.Context, first, last uint64) ([]presence.Told, error)
	Bucket(ctx context.Context, yield func([]presence.Told) error) error
	BucketNewest(ctx context.Context) (presence.Told, error)
}

// Survey finds out how the ledger differs from what was told. It writes nothing.
//
//	ledger  1 ──── fork ──── what was never told
//	stream  1 ──── fork ──── what was told ──── last
type Survey struct {
	App     uint32
	Ledger  Book
	Cursors Cursors
	Stream  Source
	// Found is called with events that were told and may be behind the fork, each
	// once, in no certain order; more of them may turn out not to be. Not nil.
	Found func([]presence.Event) error
	// AcceptGap: events that are nowhere any more are no error.
	AcceptGap bool
}

// Split is where the ledger and what was told part.
type Split struct {
	// Why is what halts the telling, a [*ContradictionError] or a [*HoleError]; nil
	// where nothing does that could be mended here, and then the rest is zero.
	Why error
	// Fork is the newest event in which both agree: what the ledger has behind it
	// was never told.
	Fork int64
	// Imported is how many of the events found are behind the fork, Missing which
	// numbers behind it are nowhere.
	Imported int64
	Missing  []Span
	// Told is the end of the stream, with the newest event that was ever told.
	Told presence.Cursor
}

// Span is a run of event numbers, both ends included. Last 0: nobody knows how
// far it goes.
type Span struct{ First, Last int64 }

func (s Span) String() string {
	switch s.Last {
	case 0:
		return fmt.Sprintf("behind %d", s.First-1)
	case s.First:
		return fmt.Sprint(s.First)
	}
	return fmt.Sprintf("%d to %d", s.First, s.Last)
}

// GapError says that events were told which are nowhere any more.
type GapError struct {
	App     uint32
	Missing []Span
}

func (e *GapError) Error() string {
	shown := make([]string, 0, 6)
	for _, span := range e.Missing[:min(5, len(e.Missing))] {
		shown = append(shown, span.String())
	}
	if more := len(e.Missing) - len(shown); more > 0 {
		shown = append(shown, fmt.Sprintf("%d more runs", more))
	}
	return fmt.Sprintf("app %d: events %s were told, and are in neither the ledger nor the stream nor the bucket any more; "+
		"--accept-gap goes on without them: the bucket has each user's last event", e.App, strings.Join(shown, ", "))
}

// AheadError says that the bucket remembers events that the stream has lost.
type AheadError struct {
	App          uint32
	Bucket, Last int64
}

func (e *AheadError) Error() string {
	return fmt.Sprintf("the bucket remembers event %d, and the stream ends with event %d: its store was restored to an older state; "+
		"mend: nats kv del presence_%d, and run this again; the bucket is made anew from the stream", e.Bucket, e.Last, e.App)
}

// ErrMoved says that something was published while the survey went on.
var ErrMoved = errors.New("the stream has moved meanwhile: try again, and if it says so again find out who else publishes to it")

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
	it := &survey{Survey: s, logs: map[string]bool{}, oldest: math.MaxInt64}
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
	c, err := judge.position(ctx)
	if contradiction := new(ContradictionError); errors.As(err, &contradiction) {
		return contradiction, nil
	}
	if err != nil {
		return nil, err
	}
	newest, err := s.Ledger.Newest(ctx)
	for err == nil {
		var events []presence.Event
		if events, err = s.Ledger.After(ctx, c, page); err != nil {
			break
		}
		if hole := judge.follows(c.Seq, events, newest); hole != nil || len(events) == 0 {
			return hole, nil
		}
		last := &events[len(events)-1]
		c.Seq, c.RecordedAt = last.Seq, last.RecordedAt
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
	if !s.whole() {
		if err := s.readBucket(ctx); err != nil {
			return err
		}
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
	newest, err := s.Stream.BucketNewest(ctx)
	if err == nil && newest.Seq > s.tail.Seq {
		err = &AheadError{s.App, newest.Seq, s.tail.Seq}
	}
	return err
}

// readStream walks the stream back from its end to the newest message that the
// ledger's row of its number agrees with. All before it agree too: ledger and
// stream are only ever added to, so both are the same up to one point and never
// again behind it. The walk reads what has to be imported and no more, so a
// search by halves would save nothing, and it takes a row that was changed by
// hand for what it is.
func (s *survey) readStream(ctx context.Context) error {
	for end := s.tail.StreamSeq; end > 0 && end >= s.tail.First && !s.agreed; {
		first := max(s.tail.First, 1)
		if end-first >= page {
			first = end - page + 1
		}
		told, err := s.Stream.Events(ctx, first, end)
		if err != nil {
			return err
		}
		if err := s.takePage(ctx, told); err != nil {
			return err
		}
		end = first - 1
	}
	return nil
}

func (s *survey) takePage(ctx context.Context, told []presence.Told) error {
	events, err := s.read(told, true)
	if err != nil || len(events) == 0 {
		return err
	}
	agreeing, err := s.agreeing(ctx, events, told)
	if err != nil {
		return err
	}
	for i, e := range slices.Backward(events) {
		if agreeing[e.Seq] {
			s.agreed, s.fork = true, e.Seq
			events = events[i+1:]
			break
		}
	}
	if len(events) == 0 {
		return nil
	}
	if err := s.ordered(events); err != nil {
		return err
	}
	s.oldest = events[0].Seq
	s.last = max(s.last, events[len(events)-1].Seq)
	s.note(events)
	return s.Found(events)
}

// ordered refuses events that do not ascend: one of them is a copy, and which one
// cannot be told.
func (s *survey) ordered(events []presence.Event) error {
	before := s.oldest
	for _, e := range slices.Backward(events) {
		if e.Seq >= before {
			return fmt.Errorf("the stream has event %d before event %d: somebody else writes to it", e.Seq, before)
		}
		before = e.Seq
	}
	return nil
}

// read turns what was told into events, and makes sure that it is told again as
// the same bytes. A message of the bucket has another subject.
func (s *survey) read(told []presence.Told, stream bool) ([]presence.Event, error) {
	events := make([]presence.Event, 0, len(told))
	for i := range told {
		e, err := readTold(s.App, &told[i])
		if err == nil && stream && e.Subject() != told[i].Subject {
			err = fmt.Errorf("its subject is %q", told[i].Subject)
		}
		if err != nil {
			return nil, fmt.Errorf("event %d, message %d, cannot be taken over as it was told; a newer version may have told it: %w",
				told[i].Seq, told[i].StreamSeq, err)
		}
		s.logs[e.Log] = true
		events = append(events, e)
	}
	return events, nil
}

func readTold(app uint32, told *presence.Told) (presence.Event, error) {
	e, err := presence.ParseEvent(told.Data)
	if err != nil {
		return e, err
	}
	if e.AppID != app || e.Seq != told.Seq {
		return e, fmt.Errorf("it says that it is event %d of app %d", e.Seq, e.AppID)
	}
	what, err := unlike(&e, told)
	if err == nil && what != "" {
		err = errors.New("its bytes are not those of this version")
	}
	return e, err
}

// agreeing returns the numbers of which the ledger has the very event.
func (s *survey) agreeing(ctx context.Context, events []presence.Event, told []presence.Told) (map[int64]bool, error) {
	byseq := map[int64]*presence.Told{}
	var seqs []int64
	for i := range events {
		if events[i].Seq <= s.newest {
			byseq[events[i].Seq] = &told[i]
			seqs = append(seqs, events[i].Seq)
		}
	}
	if len(seqs) == 0 {
		return nil, nil
	}
	rows, err := s.Ledger.At(ctx, seqs)
	agreeing := map[int64]bool{}
	for i := range rows {
		what, errRow := unlike(&rows[i], byseq[rows[i].Seq])
		err = errors.Join(err, errRow)
		agreeing[rows[i].Seq] = what == ""
	}
	return agreeing, err
}

// note remembers the numbers of events that were found, in ascending order.
func (s *survey) note(events []presence.Event) {
	first := events[0].Seq
	for i := range events {
		if i+1 == len(events) || events[i+1].Seq != events[i].Seq+1 {
			s.found = append(s.found, Span{first, events[i].Seq})
			if i+1 < len(events) {
				first = events[i+1].Seq
			}
		}
	}
}
