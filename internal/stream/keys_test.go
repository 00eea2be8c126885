package stream

import (
	"testing"

	"github.com/zim-presence/poller/presence"
)

// A key goes with the event that it was asked to go with, and with no other.
func TestPurgeKey(t *testing.T) {
	b := standing(t)
	empty, err := b.s.BucketState(t.Context())
	if err != nil || empty.Keys != 0 || empty.Newest != 0 || !empty.Drained || empty.Created.IsZero() {
		t.Errorf("an empty bucket is %+v, %v", empty, err)
	}
	events := story(1, 60)
	appendAll(t, b.s, events)
	want := lastOfEach(t, events)
	wantBucket(t, b, want)
	first, last := &events[0], map[string]int64{}
	for i := range events {
		last[events[i].User.ID] = events[i].Seq
	}
	if last[first.User.ID] == first.Seq {
		t.Fatalf("%q has one event only", first.User.ID)
	}
	for _, seq := range []int64{first.Seq, last[first.User.ID] + 1} {
		if err := b.s.PurgeKey(t.Context(), first.User.ID, seq); err != nil {
			t.Fatal(err)
		}
		wantBucket(t, b, want)
	}
	for range 2 {
		if err := b.s.PurgeKey(t.Context(), first.User.ID, last[first.User.ID]); err != nil {
			t.Fatal(err)
		}
	}
	delete(want, presence.EncodeUser(first.User.ID))
	wantBucket(t, b, want)
	state, err := b.s.BucketState(t.Context())
	if err != nil || state.Keys != int64(len(want)) || state.Newest == 0 || state.Drained {
		t.Errorf("a bucket with %d keys is %+v, %v", len(want), state, err)
	}
	end := events[len(events)-1]
	end.Transition = presence.Transition{Seq: 61, Kind: presence.KindErased, ObservedAt: end.ObservedAt, Sweep: end.Sweep}
	if n, err := b.s.Append(t.Context(), 60, []presence.Event{end}, nil); n != 1 || err != nil {
		t.Fatal(err)
	}
	eventually(t, "the erased event is in the bucket", func() bool { again, err := b.s.BucketState(t.Context()); return err == nil && again.Newest == 61 })
	if again, err := b.s.BucketState(t.Context()); err != nil || again.Keys != state.Keys {
		t.Errorf("an erased event made it %d keys, %v, want %d as before", again.Keys, err, state.Keys)
	}
	if err := b.js.DeleteStream(t.Context(), BucketStreamName(testApp)); err != nil {
		t.Fatal(err)
	}
	if gone, err := b.s.BucketState(t.Context()); err != nil || !gone.Created.IsZero() {
		t.Errorf("a missing bucket is %+v, %v", gone, err)
	}
}
