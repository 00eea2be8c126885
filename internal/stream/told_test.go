package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/zim-presence/poller/presence"
)

// Events gives back what was appended, whatever was deleted between, in order.
func TestEventsAreReadBack(t *testing.T) {
	b := standing(t)
	events := story(1, 3000)
	appendAll(t, b.s, events)
	s, err := b.js.Stream(t.Context(), EventStreamName(testApp))
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{700, 701, 3000} {
		if err := s.DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ first, last uint64 }{{1, 3000}, {0, 1}, {2999, 3000}, {3000, 3000}, {650, 750}, {5, 4}, {2000, 9999}} {
		told, err := b.s.Events(t.Context(), c.first, c.last)
		if err != nil {
			t.Fatalf("Events(%d, %d): %v", c.first, c.last, err)
		}
		var got, want []int64
		for _, e := range told {
			got = append(got, e.Seq)
			row := &events[e.Seq-1]
			data, err := row.Data()
			if err != nil || e.StreamSeq != uint64(e.Seq) || e.ID != row.ID() || e.Subject != row.Subject() || string(e.Data) != string(data) {
				t.Fatalf("event %d was read as %+v, %v", e.Seq, e, err)
			}
		}
		for seq := max(c.first, 1); seq <= min(c.last, 3000); seq++ {
			if seq != 700 && seq != 701 && seq != 3000 {
				want = append(want, int64(seq))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("Events(%d, %d) has %d events, want %d", c.first, c.last, len(got), len(want))
		}
	}
}

// The bucket has each user's last event, also when most of its sequence numbers
// are gone, and its newest is the stream's last.
func TestBucketIsRead(t *testing.T) {
	b := standing(t)
	if told, err := b.s.BucketNewest(t.Context()); err != nil || told.Seq != 0 {
		t.Errorf("the newest of an empty bucket is %+v, %v", told, err)
	}
	events := story(1, 6000)
	appendAll(t, b.s, events)
	want := lastOfEach(t, events)
	wantBucket(t, b, want)
	got := map[string]string{}
	err := b.s.Bucket(t.Context(), func(page []presence.Told) error {
		for _, told := range page {
			e, err := presence.ParseEvent(told.Data)
			if err != nil || e.Seq != told.Seq || e.ID() != told.ID {
				return fmt.Errorf("%+v: %w", told, err)
			}
			got[presence.EncodeUser(e.User.ID)] = string(told.Data)
		}
		return nil
	})
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d users, %v, want %d", len(got), err, len(want))
	}
	for key, data := range want {
		if got[key] != data {
			t.Errorf("%s: %s, want %s", key, got[key], data)
		}
	}
	last := &events[len(events)-1]
	if told, err := b.s.BucketNewest(t.Context()); err != nil || told.Seq != last.Seq || told.ID != last.ID() {
		t.Errorf("the newest is %+v, %v, want event %d", told, err, last.Seq)
	}
	stop := errors.New("enough")
	if err := b.s.Bucket(t.Context(), func([]presence.Told) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Bucket() = %v, want what yield said", err)
	}
}

// Where the end cannot be read the bucket's newest event is told.
func TestTailNamesTheNewestOfTheBucket(t *testing.T) {
	b := standing(t)
	events := story(1, 10)
	appendAll(t, b.s, events)
	wantBucket(t, b, lastOfEach(t, events))
	if tail, err := b.s.Tail(t.Context()); err != nil || tail.Bucket.Seq != 0 || tail.First != 1 {
		t.Errorf("the tail is %+v, %v, want it without the bucket", tail, err)
	}
	if err := b.js.DeleteStream(t.Context(), EventStreamName(testApp)); err != nil {
		t.Fatal(err)
	}
	ensure(t, b.s)
	if tail, err := b.s.Tail(t.Context()); err != nil || tail.Found || tail.Bucket.Seq != 10 || tail.Bucket.ID != events[9].ID() {
		t.Errorf("the tail is %+v, %v, want event 10 of the bucket", tail, err)
	}
}

// What cannot be read is said: somebody else's message, no bucket, no server.
func TestReadsThatFail(t *testing.T) {
	b := standing(t)
	appendAll(t, b.s, story(1, 3))
	if _, err := b.js.PublishMsg(t.Context(), &nats.Msg{Subject: presence.Subject(testApp, presence.KindOnline, "mallory"), Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	var foreign *ForeignError
	if _, err := b.s.Events(t.Context(), 1, 4); !errors.As(err, &foreign) || foreign.StreamSeq != 4 {
		t.Errorf("Events() over somebody else's message: %v", err)
	}
	if told, err := b.s.BucketNewest(t.Context()); err != nil || told.Seq != 0 {
		t.Logf("the bucket's newest is %+v, %v: it trails", told, err)
	}
	if err := b.js.DeleteStream(t.Context(), BucketStreamName(testApp)); err != nil {
		t.Fatal(err)
	}
	if err := b.s.Bucket(t.Context(), func([]presence.Told) error { return errors.New("some") }); err != nil {
		t.Errorf("Bucket() without one: %v", err)
	}
	if told, err := b.s.BucketNewest(t.Context()); err != nil || told.Seq != 0 {
		t.Errorf("the newest of no bucket is %+v, %v", told, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.s.Events(ctx, 1, 3); !errors.Is(err, context.Canceled) {
		t.Errorf("Events() of a caller who has gone: %v", err)
	}
	b.server.Stop()
	if _, err := b.s.Events(t.Context(), 1, 3); !errors.Is(err, ErrSurprise) {
		t.Errorf("Events() without a server: %v", err)
	}
}

// BenchmarkEvents reads events back in pages, as an adoption does.
func BenchmarkEvents(b *testing.B) {
	const page, pages = 2000, 20
	bench := standing(b)
	appendAll(b, bench.s, story(1, page*pages))
	n := 0
	for b.Loop() {
		for i := range uint64(pages) {
			told, err := bench.s.Events(b.Context(), i*page+1, (i+1)*page)
			if err != nil {
				b.Fatal(err)
			}
			n += len(told)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}
