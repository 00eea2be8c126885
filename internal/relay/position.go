package relay

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/zim-presence/poller/presence"
)

// ContradictionError says that the ledger and what was told, by the stream's end
// or by the bucket, tell different stories. Nothing is published until the
// ledger has adopted what was told.
type ContradictionError struct {
	App uint32
	// Seq is the event that was told; 0 when it is gone.
	Seq int64
	// What is how the ledger differs.
	What string
	// Bucket: the bucket remembers the event, the stream's end cannot be read.
	Bucket bool
}

func (e *ContradictionError) Error() string {
	where := "the stream ends with"
	if e.Bucket {
		where = "the bucket remembers"
	}
	return fmt.Sprintf("%s event %d, %s: was the database, or the stream, restored to another state? mend: %s",
		where, e.Seq, e.What, e.Mend())
}

// Mend is the command that has the ledger adopt what was told.
func (e *ContradictionError) Mend() string { return fmt.Sprintf("poller adopt --app %d", e.App) }

func (r *Relay) contradiction(seq int64, what string) error {
	return &ContradictionError{App: r.App, Seq: seq, What: what}
}

// Compare checks that the stream's end and the ledger agree, and that what is to be
// told goes on behind it. It tells nothing. The error is what would halt the
// telling.
func (r *Relay) Compare(ctx context.Context) error {
	c, err := r.position(ctx)
	if err != nil {
		return err
	}
	newest, err := r.Ledger.Newest(ctx)
	for err == nil {
		var events []presence.Event
		if events, err = r.Ledger.After(ctx, c, page); err != nil {
			break
		}
		if err = r.follows(c.Seq, events, newest); err != nil || len(events) == 0 {
			break
		}
		last := &events[len(events)-1]
		c.Seq, c.RecordedAt = last.Seq, last.RecordedAt
	}
	return err
}

// position finds where the stream ends, and checks that the ledger agrees.
func (r *Relay) position(ctx context.Context) (presence.Cursor, error) {
	tail, err := r.Stream.Tail(ctx)
	if err == nil && tail.Kept > 0 {
		err = r.copied(ctx, &tail)
	}
	if err != nil {
		if tail.StreamSeq > 0 {
			// Somebody else's message stands at the end. When all of it is gone, what
			// was sent and not heard of is rather told twice than taken for that.
			r.unheard = 0
		}
		r.ensured = time.Time{}
		return presence.Cursor{}, err
	}
	if !tail.Found {
		if err := r.outlived(ctx, &tail.Bucket); err != nil {
			return presence.Cursor{}, err
		}
		return r.remembered(ctx, tail)
	}
	c := presence.Cursor{Seq: tail.Seq, StreamSeq: tail.StreamSeq, StreamCreated: presence.Instant(tail.Created)}
	row, found, err := r.Ledger.Event(ctx, tail.Seq)
	if err != nil {
		return presence.Cursor{}, err
	}
	if !found {
		return r.dropped(ctx, c)
	}
	c.RecordedAt = row.RecordedAt
	what, err := unlike(&row, &presence.Told{ID: tail.ID, Data: tail.Data})
	if err == nil && what == "" && row.Kind != presence.KindErased && row.Subject() != tail.Subject {
		what = "whose subject is not the ledger's"
	}
	if err == nil && what != "" {
		err = r.contradiction(tail.Seq, what)
	}
	return c, err
}

// dropped is the position behind an event whose row is gone. It may have been
// dropped for its age; then the ledger remembers that it was told. A database
// that was restored to a time before the event does not.
func (r *Relay) dropped(ctx context.Context, c presence.Cursor) (presence.Cursor, error) {
	saved, known, err := r.knows(ctx, c.Seq)
	switch {
	case err != nil:
		return presence.Cursor{}, err
	case !known || !saved.StreamCreated.Equal(c.StreamCreated):
		return presence.Cursor{}, r.contradiction(c.Seq, "which the ledger does not have")
	case saved.Seq == c.Seq:
		c.RecordedAt = saved.RecordedAt
	}
	return c, nil
}

// knows tells whether the ledger has come as far as an event and remembers that
// it was told. The cursor alone is not enough: one that was saved by a program
// that has lived through the restoring of the database knows too much.
func (r *Relay) knows(ctx context.Context, seq int64) (saved presence.Cursor, known bool, err error) {
	if saved, err = r.Cursors.Cursor(ctx); err != nil {
		return saved, false, err
	}
	newest, err := r.Ledger.Newest(ctx)
	return saved, seq <= saved.Seq && seq <= newest, err
}

// outlived compares the newest event that the bucket holds, which is there when
// the stream was made anew or all of it has expired: the database may have been
// restored as well, and the stream has nothing left that would show it.
func (r *Relay) outlived(ctx context.Context, told *presence.Told) error {
	if told.Seq == 0 {
		return nil
	}
	row, found, err := r.Ledger.Event(ctx, told.Seq)
	if err != nil {
		return err
	}
	var what string
	if found {
		what, err = unlike(&row, told)
	} else if _, known, errKnows := r.knows(ctx, told.Seq); errKnows != nil || !known {
		what, err = "which the ledger does not have", errKnows
	}
	if err != nil || what == "" {
		return err
	}
	return &ContradictionError{App: r.App, Seq: told.Seq, What: what, Bucket: true}
}

// unlike says how an event that was told differs from the ledger's row of its
// number, "" for not at all. The ids of two timelines of one database are equal;
// the content is not, since it holds the microsecond. Of a row that was erased after
// it was told nothing but the id is left to be compared; before it was erased, the
// ledger was compared with what was told.
func unlike(row *presence.Event, told *presence.Told) (what string, err error) {
	data, err := row.Data()
	switch {
	case err != nil:
		return "", err
	case row.ID() != told.ID:
		return fmt.Sprintf("id %s, where the ledger has %s", told.ID, row.ID()), nil
	case row.Kind == presence.KindErased && !tombstoneTold(told):
		return "", nil
	case !bytes.Equal(data, told.Data):
		return "whose content is not the ledger's", nil
	}
	return "", nil
}

// tombstoneTold tells whether an event was erased before it was told.
func tombstoneTold(told *presence.Told) bool {
	e, err := presence.ParseEvent(told.Data)
	return err == nil && e.Kind == presence.KindErased
}

// remembered is the position behind an end that cannot be read: the stream is
// new, or its last message has expired or was deleted. One message is one
// event, so within one stream the two numbers keep their distance, also when the
// stream has gone on, or was rolled back, since the cursor was saved.
//
// Not so the message of somebody else that was removed again, nor the event that
// it kept out. This relay knows how many events it has sent without hearing of
// them; what came beyond those is not ours. One that has just started does not
// know. As long as the stream holds an event, what is gone behind that one has not
// expired but was removed by hand: it goes on behind that one or the cursor.
// Should it have been an event that was removed, it is told again, and none is
// passed over.
func (r *Relay) remembered(ctx context.Context, tail presence.Tail) (presence.Cursor, error) {
	known, unheard := r.cursor, int64(r.unheard)
	if known.StreamCreated.IsZero() {
		saved, err := r.Cursors.Cursor(ctx)
		if err != nil {
			return presence.Cursor{}, err
		}
		known, unheard = saved, math.MaxInt64
	}
	if tail.Kept > 0 {
		unheard = 0
	}
	c := presence.Cursor{Seq: known.Seq, StreamSeq: tail.StreamSeq, StreamCreated: presence.Instant(tail.Created)}
	switch {
	case known.StreamCreated.Equal(c.StreamCreated):
		c.Seq += min(int64(tail.StreamSeq)-int64(known.StreamSeq), unheard)
		if tail.Kept > 0 {
			c.Seq = max(c.Seq, tail.Kept)
		}
	case tail.StreamSeq != 0:
		return presence.Cursor{}, r.contradiction(0, "gone already, of a stream that is not the one remembered")
	}
	if c.Seq < 0 {
		return presence.Cursor{}, r.contradiction(c.Seq, "by the distance that is remembered")
	}
	return r.recorded(ctx, c)
}

// recorded adds when the event of a cursor was recorded, as far as the ledger
// still knows.
func (r *Relay) recorded(ctx context.Context, c presence.Cursor) (presence.Cursor, error) {
	if c.Seq == 0 {
		return c, nil
	}
	row, found, err := r.Ledger.Event(ctx, c.Seq)
	if err != nil {
		return presence.Cursor{}, err
	}
	if found {
		c.RecordedAt = row.RecordedAt
		return c, nil
	}
	newest, err := r.Ledger.Newest(ctx)
	if err == nil && newest < c.Seq {
		err = r.contradiction(c.Seq, "gone already, which the ledger does not have")
	}
	return c, err
}

// HoleError says that rows of the ledger are missing which were not told yet.
type HoleError struct {
	App  uint32
	What string
}

func (e *HoleError) Error() string {
	return fmt.Sprintf("%s: rows are missing; mend: %s", e.What, e.Mend())
}

// Mend is what brings the rows back, or goes on without.
func (e *HoleError) Mend() string {
	return fmt.Sprintf("restore them, or poller adopt --app %d, which drops what was not told", e.App)
}

// follows checks that events continue behind seq without a gap, and that there
// are some up to newest: rows that were deleted by hand, or are hidden by a
// time, must not be passed over as if nothing were missing.
func (r *Relay) follows(seq int64, events []presence.Event, newest int64) error {
	if len(events) == 0 && seq < newest {
		return &HoleError{r.App, fmt.Sprintf("the ledger counts %d events and has none behind %d", newest, seq)}
	}
	for i := range events {
		seq++
		if events[i].Seq != seq {
			return &HoleError{r.App, fmt.Sprintf("the ledger has event %d where %d has to follow", events[i].Seq, seq)}
		}
	}
	return nil
}
