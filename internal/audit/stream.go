package audit

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// readStream holds the event stream against the book, and the holes in it against
// what was told as erased.
func (it *inspection) readStream(ctx context.Context) error {
	w := &witness{inspection: it, highest: it.book.first - 1}
	if it.events.stream == nil && it.noted > 0 && it.Live {
		it.report.add(Lost, "PRESENCE_"+strconv.FormatUint(uint64(it.App), 10), "the stream is missing, and event %d was told", it.noted)
		return nil
	}
	if err := it.events.each(ctx, 0, func(m jetstream.Msg) error { return w.message(ctx, m) }); err != nil {
		return err
	}
	return w.conclude(ctx)
}

// witness reads the stream as a subscriber who keeps count.
type witness struct {
	*inspection
	places          []place // in the stream, of the first events that it has, by age
	highest, newest int64   // of the events in order: of the range, of all
}

// apart is how far apart the places are that are remembered.
const apart = 1000

// place is where an event stands in the stream.
type place struct {
	stream uint64
	seq    int64
}

// message judges the next message.
func (w *witness) message(ctx context.Context, m jetstream.Msg) error {
	b, r := w.book, w.report
	header := m.Headers()
	text := header.Get(presence.HeaderSeq)
	seq, _ := strconv.ParseInt(text, 10, 64) // what is no number is 0, which is no event
	switch {
	case seq < 1 || !w.Range.ends() && seq > b.last:
		if w.within() {
			w.strange[m.Subject()] = true
			r.add(Foreign, m.Subject(), "a message on %s with number %q is no event of the ledger", m.Subject(), text)
		}
		return nil
	case seq < b.first || seq > b.last:
		w.newest = max(w.newest, seq)
		return nil
	}
	sum, erased := b.get(seq)
	if sum == noRow {
		if w.kept.gaps.Contains(seq) {
			r.add(Foreign, text, "the stream has event %d, which an adoption went on without", seq)
		}
		return nil // it is missing in the ledger, and that was told
	}
	r.Messages++
	if b.see(seq) {
		w.strange[m.Subject()] = true
		r.add(Doubled, text, "the stream has event %d twice", seq)
		return nil
	}
	if seq < w.highest {
		r.add(Reordered, text, "event %d stands behind event %d", seq, w.highest)
	}
	w.highest, w.newest = max(w.highest, seq), max(w.newest, seq)
	w.stand(m, seq)
	switch {
	case sum == unreadable:
		return nil
	case erased:
		if m.Subject() != presence.Subject(w.App, presence.KindErased, "") { // it was told when it was somebody's
			r.Standing++
		}
		if b.sumID(header.Get(presence.HeaderID)) == sum {
			return nil
		}
	case b.sum(m.Subject(), header.Get(presence.HeaderID), text, header.Get(presence.HeaderType), m.Data()) == sum:
		return nil
	}
	return w.altered(ctx, seq, m)
}

// within tells whether the messages just now are of the range, as far as numbers
// tell.
func (w *witness) within() bool {
	return w.newest >= w.book.first-1 && w.newest <= w.kept.end || !w.Range.begins() && w.newest == 0
}

// stand remembers where some of the events stand: messages may grow too old while
// they are read, and their places say which.
func (w *witness) stand(m jetstream.Msg, seq int64) {
	if n := len(w.places); n > 0 && seq < w.places[n-1].seq+apart {
		return
	}
	if meta, err := m.Metadata(); err == nil {
		w.places = append(w.places, place{meta.Sequence.Stream, seq})
	}
}

// altered says where a message is not what its row says. Of a tombstone no more than the id is known.
func (w *witness) altered(ctx context.Context, seq int64, m jetstream.Msg) error {
	key := strconv.FormatInt(seq, 10)
	row, err := w.row(ctx, seq)
	if err != nil {
		w.report.add(Altered, key, "event %d is not that of the ledger, whose row cannot be read any more: %v", seq, err)
		return nil
	}
	data, err := row.Data()
	if err != nil {
		return err
	}
	header := m.Headers()
	stream := published{header.Get(presence.HeaderID), m.Subject(), header.Get(presence.HeaderType), m.Data()}
	ledger := published{row.ID(), row.Subject(), presence.ContentType, data}
	if row.Kind == presence.KindErased {
		stream, ledger = published{id: stream.id}, published{id: ledger.id}
	}
	where := difference(stream, ledger)
	if where == "" {
		where = "what the row was before it was erased"
	}
	w.report.add(Altered, key, "event %d is not that of the ledger: %s", seq, where)
	return nil
}

// row reads one row again, for the text of a finding.
func (w *witness) row(ctx context.Context, seq int64) (row, error) {
	ctx, cancel := context.WithTimeout(ctx, asideTimeout)
	defer cancel()
	rows, err := w.DB.Query(ctx, `select `+eventColumns+` from transitions where app_id = $1 and seq = $2 limit 1`, int64(w.App), seq)
	if err != nil {
		return row{}, err
	}
	return pgx.CollectExactlyOneRow(rows, w.scan)
}

// conclude finds what the stream lacks, from the oldest event that it has to the
// newest, or to what the database knows to have been told into it.
func (w *witness) conclude(ctx context.Context) error {
	first, last, err := w.extent(ctx)
	if err != nil {
		return err
	}
	var lost, erased []int64
	w.book.unseen(first, last, func(seq int64, blank bool) {
		if blank {
			erased = append(erased, seq)
		} else {
			lost = append(lost, seq)
		}
	})
	if !w.Range.ends() {
		w.book.unseen(max(first, last+1), w.book.newest, func(int64, bool) { w.report.Untold++ })
	}
	if len(lost) > 0 {
		since, err := w.erasedSince(ctx, lost)
		if err != nil {
			return err
		}
		for _, seq := range lost {
			if since[seq] {
				erased = append(erased, seq)
			} else {
				w.report.add(Lost, strconv.FormatInt(seq, 10), "event %d is not in the stream", seq)
			}
		}
	}
	return w.readControl(ctx, presence.SeqSetOf(erased...))
}

// extent returns from which event to which the stream has to be whole. While it
// was read it may have dropped what was too old.
func (w *witness) extent(ctx context.Context) (first, last int64, err error) {
	if !w.Live {
		return w.book.first, w.book.newest, nil
	}
	last = w.highest
	c := w.kept.cursor
	if w.events.created.Truncate(time.Microsecond).Equal(c.created) && w.events.ended >= uint64(c.streamSeq) && len(w.places) > 0 {
		last = max(last, min(c.told, w.book.newest))
	}
	if len(w.places) == 0 {
		return last + 1, last, nil
	}
	now, err := w.shore(ctx, "PRESENCE_"+strconv.FormatUint(uint64(w.App), 10))
	if err != nil {
		return 0, 0, err
	}
	first = w.places[0].seq
	for _, p := range w.places {
		if p.stream >= now.first {
			break
		}
		first = p.seq + apart
	}
	return first, last, nil
}

// erasedSince tells which of some events have been erased since the database was
// read.
func (w *witness) erasedSince(ctx context.Context, seqs []int64) (map[int64]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := w.DB.Query(ctx, `
		select seq
		  from transitions
		 where app_id = $1 and kind = 'erased' and seq between $2 and $3`, int64(w.App), seqs[0], seqs[len(seqs)-1])
	if err != nil {
		return nil, err
	}
	erased := map[int64]bool{}
	var seq int64
	_, err = pgx.ForEachRow(rows, []any{&seq}, func() error {
		erased[seq] = true
		return nil
	})
	return erased, err
}
