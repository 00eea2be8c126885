package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/zim-presence/poller/presence"
)

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
		told, err := s.Archive.Events(ctx, first, end)
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
	data, err := e.Data()
	if err == nil && (e.ID() != told.ID || !bytes.Equal(data, told.Data)) {
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
	rows, err := s.Rows.At(ctx, seqs)
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
			s.heads[first] = &events[int64(i)-(events[i].Seq-first)]
			if i+1 < len(events) {
				first = events[i+1].Seq
			}
		}
	}
}
