package relay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/relay"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/presence"
)

// surprise is something that happens to a stream of 100 events, all told.
type surprise struct {
	what   string
	happen func(*house)
	// red is what the relay then says until mend; empty where it needs no help.
	red  string
	mend func(*house)
	// refuses: nothing may have gone into the stream while it was red.
	refuses bool
	// from is the first event that the stream holds in the end.
	from int64
	// noBucket: the bucket is lost too, and what it had cannot be told again.
	noBucket bool
}

func surprises() []surprise {
	const name = "PRESENCE_4000000001"
	restore := func(h *house) { h.update(func(c *jetstream.StreamConfig) { *c = h.asMade }) }
	remove := func(h *house) { must(h.t, h.js.DeleteStream(h.t.Context(), name)) }
	return []surprise{
		{what: "deleted", happen: remove, from: 101},
		{what: "made anew by somebody else", happen: func(h *house) { remove(h); h.create(h.asMade) }, from: 101},
		{what: "made anew otherwise", happen: func(h *house) {
			remove(h)
			c := h.asMade
			c.Storage, c.Retention = jetstream.MemoryStorage, jetstream.InterestPolicy
			h.create(c)
		}, red: "storage of " + name + " is Memory", refuses: true, mend: remove, from: 101},
		{what: "store emptied", happen: func(h *house) {
			h.server.Stop()
			must(h.t, os.RemoveAll(h.server.StoreDir()))
			h.server.Start()
		}, from: 101, noBucket: true},
		{what: "full of messages", happen: func(h *house) { h.update(func(c *jetstream.StreamConfig) { c.MaxMsgs = 120 }) },
			red: "stream is full", mend: restore, from: 1},
		{what: "full of bytes", happen: func(h *house) { h.update(func(c *jetstream.StreamConfig) { c.MaxBytes = 80_000 }) },
			red: "stream is full", mend: restore, from: 1},
		{what: "other subjects", happen: func(h *house) {
			h.update(func(c *jetstream.StreamConfig) { c.Subjects = []string{"presence.v1.4000000001.online.*"} })
		}, red: "subjects of " + name, mend: restore, from: 1},
		{what: "no subjects of ours", happen: func(h *house) { h.update(func(c *jetstream.StreamConfig) { c.Subjects = []string{"elsewhere"} }) },
			red: "subjects of " + name, refuses: true, mend: restore, from: 1},
		{what: "a limit for each user", happen: func(h *house) { h.update(func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 1000 }) },
			red: "max_msgs_per_subject of " + name, mend: restore, from: 1},
		{what: "discards the old", happen: func(h *house) {
			h.update(func(c *jetstream.StreamConfig) { c.Discard, c.MaxMsgs = jetstream.DiscardOld, 100_000 })
		}, red: "discard of " + name, mend: restore, from: 1},
		{what: "no acks", happen: func(h *house) { h.update(func(c *jetstream.StreamConfig) { c.NoAck = true }) },
			red: "no_ack of " + name, mend: restore, from: 1},
		{what: "too small", happen: func(h *house) { h.update(func(c *jetstream.StreamConfig) { c.MaxMsgSize = 100 }) },
			red: "max_msg_size of " + name, refuses: true, mend: restore, from: 1},
		{what: "sealed", happen: func(h *house) { h.update(func(c *jetstream.StreamConfig) { c.Sealed = true }) },
			red: "sealed of " + name, refuses: true, mend: remove, from: 101},
		{what: "denials and republish, which do no harm", happen: func(h *house) {
			h.update(func(c *jetstream.StreamConfig) {
				c.DenyDelete, c.DenyPurge, c.RePublish = true, true, &jetstream.RePublish{Destination: "copy.>"}
			})
		}, from: 1},
		{what: "a message of somebody else", happen: func(h *house) { h.publish(nats.NewMsg("presence.v1.4000000001.online.mallory")) },
			red: "mend: nats stream rmm " + name + " 101", refuses: true, mend: func(h *house) { h.deleteMsg(101) }, from: 1},
		{what: "two of them", happen: func(h *house) {
			h.publish(nats.NewMsg("presence.v1.4000000001.online.mallory"))
			h.publish(nats.NewMsg("presence.v1.4000000001.online.mallory"))
		}, red: "mend: nats stream rmm " + name + " 102", refuses: true, mend: func(h *house) { h.deleteMsg(102); h.deleteMsg(101) }, from: 1},
		{what: "copies of old events", happen: func(h *house) {
			h.update(func(c *jetstream.StreamConfig) { c.Duplicates = 100 * time.Millisecond }) // they are long forgotten
			h.copyOf(4)
			h.copyOf(5)
		}, red: "message 102 of the stream is a copy of event 5", refuses: true,
			mend: func(h *house) { restore(h); h.deleteMsg(102); h.deleteMsg(101) }, from: 1},
		{what: "all expired", happen: func(h *house) {
			h.update(func(c *jetstream.StreamConfig) { c.MaxAge, c.Duplicates = 100*time.Millisecond, 100*time.Millisecond })
			h.eventually("they expire", func() bool { return h.state().Msgs == 0 })
			restore(h)
		}, from: 101},
		{what: "purged", happen: func(h *house) {
			s, err := h.js.Stream(h.t.Context(), name)
			must(h.t, err)
			must(h.t, s.Purge(h.t.Context()))
		}, from: 101},
		{what: "rolled back, with the bucket", happen: func(h *house) { h.rollBack("") }, from: 1},
		{what: "rolled back alone", happen: func(h *house) { h.rollBack(filepath.Join("jetstream", "$G", "streams", name)) }, from: 1},
	}
}

// Whatever happens to the stream, seen by the same relay and by a new one: what
// somebody has to mend is named and holds, and in the end the stream has what it
// can have, once and in order, and the bucket follows.
func TestSurprises(t *testing.T) {
	t.Parallel()
	for _, c := range surprises() {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/restarted=%t", c.what, restarted), func(t *testing.T) {
				t.Parallel()
				h := newHouse(t)
				r := h.relay()
				health := heard(r)
				h.commit()
				must(t, r.Drain(t.Context()))
				<-health
				h.bucketHolds() // it trails
				s, err := h.js.Stream(t.Context(), stream.EventStreamName(app))
				must(t, err)
				h.asMade = s.CachedInfo().Config
				if restarted {
					c.happen(h)
					r2 := h.relay()
					r2.Health, r = r.Health, r2
					defer run(r)()
				} else {
					defer run(r)()
					c.happen(h)
				}
				before := h.state().LastSeq
				h.flips = crowd / 2 // the others stay, also in the bucket
				h.commit()
				if c.red != "" {
					h.waitRed(health, c.red)
					if last := h.state().LastSeq; c.refuses && last != before {
						t.Errorf("the stream went from %d to %d while it was red", before, last)
					}
					c.mend(h)
				}
				h.commit()
				h.holds(c.from)
				if !c.noBucket {
					h.bucketHolds()
				}
			})
		}
	}
}

// heard returns what a relay says of its health; what nobody reads in time is
// replaced by what comes after it.
func heard(r *relay.Relay) <-chan error {
	health := make(chan error, 1)
	r.Health = func(err error) {
		select {
		case <-health:
		default:
		}
		health <- err
	}
	return health
}

func (h *house) waitRed(health <-chan error, text string) {
	h.t.Helper()
	limit := time.After(2 * time.Minute)
	var last error
	for {
		select {
		case err := <-health:
			if err != nil && strings.Contains(err.Error(), text) {
				return
			}
			last = err
		case <-limit:
			h.t.Fatalf("health says %v, want %q of it", last, text)
		}
	}
}

func (h *house) update(change func(*jetstream.StreamConfig)) {
	h.t.Helper()
	s, err := h.js.Stream(h.t.Context(), stream.EventStreamName(app))
	must(h.t, err)
	c := s.CachedInfo().Config
	change(&c)
	_, err = h.js.UpdateStream(h.t.Context(), c)
	must(h.t, err)
}

// create makes a stream as an operator would, unless the relay was faster, and
// then in place of its.
func (h *house) create(c jetstream.StreamConfig) {
	h.t.Helper()
	h.eventually("the stream is made", func() bool {
		_, err := h.js.CreateStream(h.t.Context(), c)
		if err != nil {
			_ = h.js.DeleteStream(h.t.Context(), c.Name)
		}
		return err == nil
	})
}

func (h *house) publish(m *nats.Msg) {
	h.t.Helper()
	_, err := h.js.PublishMsg(h.t.Context(), m)
	must(h.t, err)
}

func (h *house) message(seq uint64) *jetstream.RawStreamMsg {
	h.t.Helper()
	s, err := h.js.Stream(h.t.Context(), stream.EventStreamName(app))
	must(h.t, err)
	m, err := s.GetMsg(h.t.Context(), seq)
	must(h.t, err)
	return m
}

// copyOf publishes a message of the stream again, as it was.
func (h *house) copyOf(seq uint64) {
	h.t.Helper()
	m := h.message(seq)
	for key := range m.Header {
		if strings.HasPrefix(key, "Nats-Expected-") {
			m.Header.Del(key)
		}
	}
	h.eventually("the id is forgotten", func() bool {
		ack, err := h.js.PublishMsg(h.t.Context(), &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data})
		must(h.t, err)
		return !ack.Duplicate
	})
}

func (h *house) deleteMsg(seq uint64) {
	h.t.Helper()
	s, err := h.js.Stream(h.t.Context(), stream.EventStreamName(app))
	must(h.t, err)
	must(h.t, s.DeleteMsg(h.t.Context(), seq))
}

// state is the stream's; the zero value while there is none.
func (h *house) state() jetstream.StreamState {
	s, err := h.js.Stream(h.t.Context(), stream.EventStreamName(app))
	if err != nil {
		return jetstream.StreamState{}
	}
	return s.CachedInfo().State
}

// rollBack tells 100 events more, then sets a part of the server's store back to
// what it was before.
func (h *house) rollBack(part string) {
	h.t.Helper()
	dir, old := filepath.Join(h.server.StoreDir(), part), h.t.TempDir()
	h.bucketHolds()
	h.server.Stop()
	must(h.t, os.CopyFS(old, os.DirFS(dir)))
	h.server.Start()
	h.commit()
	h.eventually("all is told", func() bool { return h.relay().Drain(h.t.Context()) == nil })
	h.holds(1)
	h.bucketHolds()
	h.server.Stop()
	must(h.t, os.RemoveAll(dir))
	must(h.t, os.CopyFS(dir, os.DirFS(old)))
	h.server.Start()
}

func (h *house) eventually(what string, holds func() bool) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			h.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// holds waits until the stream ends with the ledger's newest event, and compares
// all that it holds with the ledger from an event on.
func (h *house) holds(from int64) {
	h.t.Helper()
	events, err := h.book.After(h.t.Context(), presence.Cursor{Seq: from - 1}, 100_000)
	must(h.t, err)
	newest := strconv.FormatInt(events[len(events)-1].Seq, 10)
	h.eventually("the stream ends with event "+newest, func() bool {
		s, err := h.js.Stream(h.t.Context(), stream.EventStreamName(app))
		if err != nil {
			return false
		}
		m, err := s.GetMsg(h.t.Context(), s.CachedInfo().State.LastSeq)
		return err == nil && m.Header.Get(presence.HeaderSeq) == newest
	})
	s, err := h.js.Stream(h.t.Context(), stream.EventStreamName(app))
	must(h.t, err)
	if got := s.CachedInfo().State.Msgs; got != uint64(len(events)) {
		h.t.Errorf("the stream holds %d messages, want %d", got, len(events))
	}
	c, err := s.OrderedConsumer(h.t.Context(), jetstream.OrderedConsumerConfig{})
	must(h.t, err)
	messages, err := c.Messages()
	must(h.t, err)
	defer messages.Stop()
	for i := range events {
		m, err := messages.Next(jetstream.NextContext(h.t.Context()))
		must(h.t, err)
		data, err := events[i].Data()
		must(h.t, err)
		if m.Headers().Get(presence.HeaderID) != events[i].ID() || !bytes.Equal(m.Data(), data) || m.Subject() != events[i].Subject() {
			h.t.Fatalf("the stream has %s %s, want event %d: %s", m.Subject(), m.Data(), events[i].Seq, data)
		}
	}
}

// bucketHolds waits until the bucket has the last event of each user. The server
// takes ten seconds and more to notice that the event stream was made anew.
func (h *house) bucketHolds() {
	h.t.Helper()
	events, err := h.book.After(h.t.Context(), presence.Cursor{}, 100_000)
	must(h.t, err)
	last := map[string][]byte{}
	for i := range events {
		data, err := events[i].Data()
		must(h.t, err)
		last[presence.EncodeUser(events[i].User.ID)] = data
	}
	for key, data := range last {
		h.eventually("the bucket has the last event of "+key, func() bool {
			kv, err := h.js.KeyValue(h.t.Context(), stream.BucketName(app))
			if err != nil {
				return false
			}
			entry, err := kv.Get(h.t.Context(), key)
			return err == nil && bytes.Equal(entry.Value(), data)
		})
	}
}

// Somebody else's message falls among hundreds in flight: nothing follows it
// until it is removed, and then nothing is missing and nothing is twice.
func TestForeignMessageInFlight(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for range 50 {
		h.commitAsleep()
	}
	r := h.relay()
	health := heard(r)
	foreign := nats.NewMsg("presence.v1.4000000001.online.mallory")
	r.Told = func(e *presence.Event, _ int64) {
		if e.Seq == 1000 {
			h.publish(foreign)
		}
	}
	defer run(r)()
	h.waitRed(health, "is no event of the poller")
	last := h.state().LastSeq
	if last <= 1000 || last == 50*crowd || h.message(last).Subject != foreign.Subject {
		t.Errorf("message %d is the last, want the foreign one, not far behind 1000", last)
	}
	h.deleteMsg(last)
	h.commit()
	h.holds(1)
	h.bucketHolds()
}

// After a kill the newest event was removed by hand. The new relay does not know
// that it was told, and tells it again: not before the server has forgotten its id.
func TestDuplicateWindow(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.commit()
	must(t, h.relay().Drain(t.Context()))
	const window = 3 * time.Second
	h.update(func(c *jetstream.StreamConfig) { c.Duplicates = window })
	c, err := h.book.Cursor(t.Context())
	must(t, err)
	c.Seq, c.StreamSeq = c.Seq-2, c.StreamSeq-2 // as it was saved before the kill
	must(t, h.book.SaveCursor(t.Context(), c))
	h.deleteMsg(crowd)
	r := h.relay()
	health := heard(r)
	defer run(r)()
	refused := 0
	for err := range health {
		if err == nil {
			break
		}
		if !errors.Is(err, stream.ErrDuplicate) {
			t.Fatalf("health says %v, want %v", err, stream.ErrDuplicate)
		}
		refused++
	}
	if refused == 0 {
		t.Error("the id was not refused")
	}
	h.holds(1)
	if last := h.state().LastSeq; last != crowd+1 {
		t.Errorf("the stream ends with message %d, want %d", last, crowd+1)
	}
}
