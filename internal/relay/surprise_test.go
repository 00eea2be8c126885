package relay_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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
