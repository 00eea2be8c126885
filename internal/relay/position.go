package relay

import (
	"bytes"
	"context"
	"fmt"

	"github.com/zim-presence/poller/presence"
)

// ContradictionError says that the ledger and the stream's end tell different
// stories. Nothing is published until somebody has decided which one holds.
type ContradictionError struct {
	Seq  int64
	What string
}

func (e *ContradictionError) Error() string {
	return fmt.Sprintf("the stream ends with event %d, %s: was the database, or the stream, restored to another state?", e.Seq, e.What)
}

// position finds where the stream ends, and checks that the ledger agrees.
func (r *Relay) position(ctx context.Context) (presence.Cursor, error) {
	tail, err := r.Stream.Tail(ctx)
	if err != nil {
		r.ensured = false
		return presence.Cursor{}, err
	}
	if !tail.Found {
		return r.remembered(ctx, tail)
	}
	row, found, err := r.Ledger.Event(ctx, tail.Seq)
	if err != nil {
		return presence.Cursor{}, err
	}
	if !found {
		return presence.Cursor{}, &ContradictionError{tail.Seq, "which the ledger does not have"}
	}
	if err := same(&row, &tail); err != nil {
		return presence.Cursor{}, err
	}
	return presence.Cursor{
		Seq: tail.Seq, StreamSeq: tail.StreamSeq, StreamCreated: presence.Instant(tail.Created), RecordedAt: row.RecordedAt,
	}, nil
}

// same compares the stream's last message with the ledger's row of its number.
func same(row *presence.Event, tail *presence.Tail) error {
	data, err := row.Data()
	if err != nil {
		return err
	}
	switch {
	case row.ID() != tail.ID:
		return &ContradictionError{tail.Seq, fmt.Sprintf("id %s, where the ledger has %s", tail.ID, row.ID())}
	case row.Subject() != tail.Subject || !bytes.Equal(data, tail.Data):
		return &ContradictionError{tail.Seq, "whose content is not the ledger's"}
	}
	return nil
}

// remembered is the position behind an end that cannot be read: the stream is
// new, or its last message has expired or was deleted. What the stream still
// holds and what was saved both lie before it, and the later of them is nearer.
// Whatever else stood between was deleted by somebody: it need not have been an
// event, so the places in the stream say nothing about numbers.
func (r *Relay) remembered(ctx context.Context, tail presence.Tail) (presence.Cursor, error) {
	saved, err := r.Cursors.Cursor(ctx)
	if err != nil {
		return presence.Cursor{}, err
	}
	c := presence.Cursor{Seq: saved.Seq, StreamSeq: tail.StreamSeq, StreamCreated: presence.Instant(tail.Created)}
	same := saved.StreamCreated.Equal(c.StreamCreated)
	switch {
	case same && tail.StreamSeq >= saved.StreamSeq:
		c.Seq = max(saved.Seq, tail.Kept)
	case tail.Kept > 0: // rolled back, or another stream
		c.Seq = tail.Kept
	case tail.StreamSeq != 0:
		return presence.Cursor{}, &ContradictionError{0, "gone already, of a stream that is not the one remembered"}
	}
	row, found, err := r.Ledger.Event(ctx, c.Seq)
	if err != nil {
		return presence.Cursor{}, err
	}
	if found {
		c.RecordedAt = row.RecordedAt
	}
	return c, nil
}

// follows checks that events continue behind seq without a gap: rows that were
// deleted by hand must not be told as if nothing were missing.
func follows(seq int64, events []presence.Event) error {
	for i := range events {
		seq++
		if events[i].Seq != seq {
			return fmt.Errorf("the ledger has event %d where %d has to follow: rows are missing", events[i].Seq, seq)
		}
	}
	return nil
}
