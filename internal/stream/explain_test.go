package stream

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// where finds events, and checks what is said to be there against the messages themselves.
func where(t *testing.T, b *bench, events []presence.Event, told int64) (fates map[int64]Fate, places map[int64]uint64) {
	t.Helper()
	found, err := b.s.Find(t.Context(), events, told)
	if err != nil {
		t.Fatal(err)
	}
	fates, places = map[int64]Fate{}, map[int64]uint64{}
	for i, w := range found {
		if w.Seq != events[i].Seq {
			t.Errorf("the %dth is event %d, want %d", i, w.Seq, events[i].Seq)
		}
		fates[w.Seq], places[w.Seq] = w.Fate, w.StreamSeq
		if w.Fate != There {
			continue
		}
		if msg := message(t, b, w.StreamSeq); msg.Header.Get(presence.HeaderID) != events[i].ID() || msg.Subject != events[i].Subject() {
			t.Errorf("event %d is said to be message %d, which is %s on %s", w.Seq, w.StreamSeq, msg.Header.Get(presence.HeaderID), msg.Subject)
		}
	}
	return fates, places
}

// Events are found where they stand, also behind messages of others that shift the places, and what is not there is
// said to be what it is.
func TestFind(t *testing.T) {
	b := standing(t)
	events := story(1, 60)
	appendAll(t, b.s, events[:20])
	// Two messages of somebody else, of which an operator has removed one.
	for range 2 {
		if _, err := b.js.Publish(t.Context(), "presence.v1.1234567890.online.mallory", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	stream := eventStream(t, b)
	if err := stream.DeleteMsg(t.Context(), 21); err != nil {
		t.Fatal(err)
	}
	// The other one stands between the events, as Append would never leave it.
	for _, e := range events[20:50] {
		publish(t, b, &e)
	}
	fates, places := where(t, b, events, 50)
	for seq := int64(1); seq <= 60; seq++ {
		want, place := There, uint64(seq)
		if seq > 20 {
			place = uint64(seq + 2)
		}
		if seq > 50 {
			want, place = Untold, 0
		}
		if fates[seq] != want || places[seq] != place {
			t.Errorf("event %d: %s at %d, want %s at %d", seq, fates[seq], places[seq], want, place)
		}
	}

	// The oldest expire, one in between and the newest are deleted.
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(6)); err != nil {
		t.Fatal(err)
	}
	for _, place := range []uint64{10, 52} {
		if err := stream.DeleteMsg(t.Context(), place); err != nil {
			t.Fatal(err)
		}
	}
	fates, _ = where(t, b, events, 50)
	for seq, want := range map[int64]Fate{1: Expired, 5: Expired, 6: There, 9: There, 10: Gone, 11: There, 49: There, 50: Gone, 51: Untold} {
		if fates[seq] != want {
			t.Errorf("event %d: %s, want %s", seq, fates[seq], want)
		}
	}
	other := events[14]
	other.Log = "00000000"
	if fates, places := where(t, b, []presence.Event{other}, 50); fates[15] != Another || places[15] != 15 {
		t.Errorf("an event of another log: %s at %d, want %s at 15", fates[15], places[15], Another)
	}

	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	fates, _ = where(t, b, events, 50)
	for seq, want := range map[int64]Fate{1: Expired, 50: Expired, 51: Untold} {
		if fates[seq] != want {
			t.Errorf("in an empty stream event %d: %s, want %s", seq, fates[seq], want)
		}
	}
	if err := b.js.DeleteStream(t.Context(), EventStreamName(testApp)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.s.Find(t.Context(), events, 50); !errors.Is(err, ErrMissing) {
		t.Errorf("without a stream: %v, want %v", err, ErrMissing)
	}
}

// The bucket's entry is the user's last event, whatever the id.
func TestEntry(t *testing.T) {
	b := standing(t)
	events := story(1, 30)
	appendAll(t, b.s, events)
	eventually(t, "the bucket has caught up", func() bool {
		newest, err := b.s.BucketNewest(t.Context())
		return err == nil && newest.Seq == 30
	})
	last := map[string]*presence.Event{}
	for i := range events {
		last[events[i].User.ID] = &events[i]
	}
	for user, e := range last {
		got, err := b.s.Entry(t.Context(), user)
		if err != nil || got.Seq != e.Seq || got.ID != e.ID() {
			t.Errorf("the entry of %q is event %d (%s), %v; want %d (%s)", user, got.Seq, got.ID, err, e.Seq, e.ID())
		}
	}
	if got, err := b.s.Entry(t.Context(), "nobody"); got.Seq != 0 || err != nil {
		t.Errorf("the entry of nobody is event %d, %v", got.Seq, err)
	}
	if err := b.js.DeleteStream(t.Context(), BucketStreamName(testApp)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.s.Entry(t.Context(), "alice"); !errors.Is(err, ErrMissing) {
		t.Errorf("without a bucket: %v, want %v", err, ErrMissing)
	}
}

// publish stores an event wherever the stream ends.
func publish(t *testing.T, b *bench, e *presence.Event) {
	t.Helper()
	l, err := letterOf(e)
	if err != nil {
		t.Fatal(err)
	}
	l.header.Set(presence.HeaderID, l.id)
	if _, err := b.js.PublishMsg(t.Context(), &nats.Msg{Subject: l.subject, Header: l.header, Data: l.data}); err != nil {
		t.Fatal(err)
	}
}
