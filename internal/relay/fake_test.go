package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/zim-presence/poller/presence"
)

const app = 1234567890

var (
	errFault   = errors.New("a fault")
	errForeign = errors.New("a message of somebody else")
)

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// event is the ledger's row of a number, the same each time.
func event(seq int64) presence.Event {
	return presence.Event{
		AppID: app, Log: "7f3a90c2", Encoding: presence.EncodingV1, RecordedAt: start.Add(time.Duration(seq) * time.Second),
		Transition: presence.Transition{
			Seq: seq, User: presence.User{No: uint32(seq), ID: fmt.Sprintf("user-%d", seq)}, Kind: presence.KindOnline,
			From: presence.Offline, To: presence.Online, After: start, ObservedAt: start.Add(time.Duration(seq) * time.Second), Sweep: 1,
		},
	}
}

// world is a ledger, its cursor and a stream, all of which can fail, before or
// after what they were asked for was done.
type world struct {
	mu     sync.Mutex
	rows   map[int64]presence.Event
	newest int64
	cursor presence.Cursor
	saves  int
	tails  int

	// The stream: the message at index i has number i+1.
	created  time.Time
	began    int64 // the event that it began with
	messages []message
	bucket   presence.Told // the newest that the bucket holds
	ensures  int
	warnings []string

	// fault is asked at each call: applied says whether the call does its work
	// before it fails with err.
	fault func(call string) (applied bool, err error)
	// stored and acked say, of an append of n events that is to fail, how many
	// are stored, and how many of these are acked.
	cut func(n int) (stored, acked int)
	// broken is the first breach of the promise.
	broken error
}

type message struct {
	event   presence.Event // Seq 0: somebody else's
	deleted bool
}

func newWorld() *world {
	return &world{
		rows: map[int64]presence.Event{}, created: start,
		fault: func(string) (bool, error) { return true, nil },
		cut:   func(int) (int, int) { return 0, 0 },
	}
}

func (w *world) commit(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		w.newest++
		w.rows[w.newest] = event(w.newest)
	}
}

// held returns what a reader of the stream finds.
func (w *world) held() (seqs []int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.messages {
		if !m.deleted {
			seqs = append(seqs, m.event.Seq)
		}
	}
	return seqs
}

// told is the newest event that was stored in the stream as it is, 0 for none.
func (w *world) told() int64 {
	for _, m := range slices.Backward(w.messages) {
		if m.event.Seq != 0 {
			return m.event.Seq
		}
	}
	return 0
}

func (w *world) After(_ context.Context, c presence.Cursor, limit int) ([]presence.Event, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.fault("after"); err != nil {
		return nil, err
	}
	var events []presence.Event
	for seq := c.Seq + 1; seq <= w.newest && len(events) < limit; seq++ {
		if row, ok := w.rows[seq]; ok && !row.RecordedAt.Before(c.RecordedAt) {
			events = append(events, row)
		}
	}
	return events, nil
}

func (w *world) Event(_ context.Context, seq int64) (presence.Event, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.fault("event"); err != nil {
		return presence.Event{}, false, err
	}
	e, found := w.rows[seq]
	return e, found, nil
}

func (w *world) Newest(context.Context) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.fault("newest")
	return w.newest, err
}

func (w *world) Cursor(context.Context) (presence.Cursor, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.fault("cursor"); err != nil {
		return presence.Cursor{}, err
	}
	return w.cursor, nil
}

func (w *world) SaveCursor(ctx context.Context, c presence.Cursor) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	applied, err := w.fault("save")
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if applied {
		w.cursor = c
		w.saves++
	}
	return err
}

func (w *world) Ensure(context.Context) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.fault("ensure")
	w.ensures++
	return w.warnings, err
}

func (w *world) Tail(ctx context.Context) (presence.Tail, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.fault("tail"); err != nil {
		return presence.Tail{}, err
	}
	if ctx.Err() != nil {
		return presence.Tail{}, ctx.Err()
	}
	w.tails++
	tail := presence.Tail{StreamSeq: uint64(len(w.messages)), First: 1, Created: w.created, Bucket: w.bucket}
	if len(w.messages) == 0 {
		return tail, nil
	}
	last := w.messages[len(w.messages)-1]
	if last.deleted {
		for i, m := range w.messages {
			if !m.deleted {
				tail.Kept, tail.KeptAt = m.event.Seq, uint64(i+1)
			}
		}
		return tail, nil
	}
	if last.event.Seq == 0 {
		return tail, errForeign
	}
	data, err := last.event.Data()
	tail.Bucket = presence.Told{}
	tail.Found, tail.Seq, tail.Kept, tail.KeptAt = true, last.event.Seq, last.event.Seq, tail.StreamSeq
	tail.ID, tail.Subject, tail.Data = last.event.ID(), last.event.Subject(), data
	return tail, err
}

func (w *world) Append(ctx context.Context, after uint64, events []presence.Event, acked func(int)) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if after != uint64(len(w.messages)) {
		return 0, fmt.Errorf("wrong last sequence: %d, not %d", len(w.messages), after)
	}
	stored, told := len(events), len(events)
	_, err := w.fault("append")
	if err != nil {
		stored, told = w.cut(len(events))
	}
	for _, e := range events[:stored] {
		w.store(e)
	}
	for i := range told {
		acked(i)
	}
	return told, errors.Join(err, ctx.Err())
}

// store keeps the promise in sight: a stream goes on where it ended, and a new
// one begins nowhere behind what was told before it.
func (w *world) store(e presence.Event) {
	last := w.told()
	if last == 0 && w.began != 0 {
		last = w.began - 1 // all was rolled back
	}
	if w.began == 0 {
		w.began = e.Seq
	} else if e.Seq != last+1 && w.broken == nil {
		w.broken = fmt.Errorf("event %d is stored behind event %d", e.Seq, last)
	}
	if e != w.rows[e.Seq] && w.broken == nil {
		w.broken = fmt.Errorf("event %d is not the ledger's", e.Seq)
	}
	w.messages = append(w.messages, message{event: e})
}

func (w *world) deleteLast() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.messages); n > 0 {
		w.messages[n-1].deleted = true
	}
}

func (w *world) expireAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.messages {
		w.messages[i].deleted = true
	}
}

func (w *world) rollBack(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.messages = w.messages[:max(0, len(w.messages)-n)]
}

func (w *world) recreate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.messages, w.began, w.created = nil, 0, w.created.Add(time.Hour)
}

func (w *world) intrude() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.messages = append(w.messages, message{})
}

// copyOf publishes an old event again, as somebody else might.
func (w *world) copyOf(seq int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.messages = append(w.messages, message{event: w.rows[seq]})
}

// relay returns a new relay of the world, as after a start of the program.
func (w *world) relay() *Relay { return &Relay{App: app, Ledger: w, Cursors: w, Stream: w} }

// upTo are the numbers from first to last.
func upTo(first, last int64) (seqs []int64) {
	for seq := first; seq <= last; seq++ {
		seqs = append(seqs, seq)
	}
	return seqs
}
