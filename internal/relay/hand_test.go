package relay_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/relay"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/presence"
)

// What somebody may do by hand to the streams of a house, and what is to be seen
// of it.

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
