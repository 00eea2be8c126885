package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// messageWithin is how long the next message of a stream may take to come.
const messageWithin = time.Minute

// readStream holds the whole event stream against the book.
func (a Audit) readStream(ctx context.Context, b *book, r *Report) error {
	w := &witness{Audit: a, book: b, report: r, chains: chains{}, seen: make([]bool, len(b.sums))}
	err := a.each(ctx, "PRESENCE_"+a.name(), func(m jetstream.Msg) error { return w.message(ctx, m) })
	if err != nil {
		return err
	}
	w.lost()
	return nil
}

func (a Audit) name() string { return strconv.FormatUint(uint64(a.App), 10) }

// each calls yield with every message that a stream has now, in order. A stream
// that is missing has none.
func (a Audit) each(ctx context.Context, name string, yield func(jetstream.Msg) error) error {
	stream, err := a.JS.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := stream.Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return err
	}
	if info.State.Msgs == 0 {
		return nil
	}
	// The leader says where the end is. A consumer may run on a replica that is
	// behind, and think that it has come to it.
	last := info.State.LastSeq
	for slices.Contains(info.State.Deleted, last) {
		last--
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextMaxWait(messageWithin))
		if err != nil {
			return err
		}
		if err := yield(m); err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Stream >= last || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// witness reads the stream as a subscriber who keeps count.
type witness struct {
	Audit
	book    *book
	report  *Report
	chains  chains
	seen    []bool
	highest int64
}

func (w *witness) message(ctx context.Context, m jetstream.Msg) error {
	w.report.Messages++
	header := m.Headers()
	text := header.Get(presence.HeaderSeq)
	seq, _ := strconv.ParseInt(text, 10, 64) // what is no number is 0, which is no event
	if !w.book.has(seq) {
		w.report.add(Foreign, m.Subject(), "a message on %s with number %q is no event of the ledger", m.Subject(), text)
		return nil
	}
	if w.seen[seq-1] {
		w.report.add(Doubled, text, "the stream has event %d twice", seq)
		return nil
	}
	w.seen[seq-1] = true
	if seq < w.highest {
		w.report.add(Reordered, text, "event %d stands behind event %d", seq, w.highest)
	}
	w.highest = max(w.highest, seq)
	if w.book.sum(m.Subject(), header.Get(presence.HeaderID), text, header.Get(presence.HeaderType), m.Data()) != w.book.sums[seq-1] {
		if err := w.altered(ctx, seq, m); err != nil {
			return err
		}
	}
	w.follow(text, m.Data())
	return nil
}

// follow holds an event against the one before it of the same user.
func (w *witness) follow(seq string, data []byte) {
	e, err := presence.ParseEvent(data)
	if err != nil {
		w.report.add(Altered, seq, "event %s cannot be read: %v", seq, err)
		return
	}
	if broken, again := w.chains.follow(&e); again {
		w.report.add(Doubled, e.User.ID, "the same change again: %s", broken)
	} else if broken != "" {
		w.report.add(Reordered, e.User.ID, "%s", broken)
	}
}

// altered tells both sides.
func (w *witness) altered(ctx context.Context, seq int64, m jetstream.Msg) error {
	want := "no such row"
	if row, err := w.event(ctx, seq); err == nil {
		data, err := row.Data()
		if err != nil {
			return err
		}
		want = fmt.Sprintf("%s %s %s", row.ID(), row.Subject(), data)
	}
	header := m.Headers()
	w.report.add(Altered, strconv.FormatInt(seq, 10), "event %d differs:\nstream %s %s %s %s\nledger %s", seq,
		header.Get(presence.HeaderID), m.Subject(), header.Get(presence.HeaderType), m.Data(), want)
	return nil
}

// lost counts what the ledger has and the stream has not.
func (w *witness) lost() {
	for i, seen := range w.seen {
		if !seen && w.book.sums[i] != 0 {
			w.report.add(Lost, strconv.Itoa(i+1), "event %d is not in the stream", i+1)
		}
	}
}
