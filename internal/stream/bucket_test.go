package stream

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// lastOfEach returns the last event of each user by key, as bytes.
func lastOfEach(t *testing.T, events []presence.Event) map[string]string {
	t.Helper()
	last := map[string]string{}
	for i := range events {
		data, err := events[i].Data()
		if err != nil {
			t.Fatal(err)
		}
		last[presence.EncodeUser(events[i].User.ID)] = string(data)
	}
	return last
}

// bucket opens the bucket as any client would.
func bucket(t *testing.T, b *bench) jetstream.KeyValue {
	t.Helper()
	kv, err := b.js.KeyValue(t.Context(), BucketName(testApp))
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

// watched reads the whole bucket with the client's Watch.
func watched(t *testing.T, kv jetstream.KeyValue) map[string]string {
	t.Helper()
	w, err := kv.WatchAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	}()
	got := map[string]string{}
	for entry := range w.Updates() {
		if entry == nil {
			return got
		}
		got[entry.Key()] = string(entry.Value())
	}
	t.Fatal("the watch ended")
	return nil
}

func wantBucket(t *testing.T, b *bench, want map[string]string) {
	t.Helper()
	kv := bucket(t, b)
	eventually(t, "the bucket follows", func() bool { return maps.Equal(watched(t, kv), want) })
	// Keys and Get may be answered by a replica, which may be behind.
	eventually(t, "all keys are listed", func() bool {
		keys, err := kv.Keys(t.Context())
		return err == nil && slices.Equal(slices.Sorted(slices.Values(keys)), slices.Sorted(maps.Keys(want)))
	})
	for key, value := range want {
		eventually(t, "Get of "+key, func() bool {
			entry, err := kv.Get(t.Context(), key)
			return err == nil && string(entry.Value()) == value
		})
	}
}

func TestBucketHoldsTheLastEventOfEachUser(t *testing.T) {
	b := standing(t)
	events := story(1, 1000)
	appendAll(t, b.s, events[:500])
	wantBucket(t, b, lastOfEach(t, events[:500]))
	appendAll(t, b.s, events[500:])
	wantBucket(t, b, lastOfEach(t, events))
	if _, err := bucket(t, b).Put(t.Context(), "alice", []byte("x")); err == nil {
		t.Error("a client could write into the bucket")
	}
	b.server.Restart()
	eventually(t, "the connection comes back", b.nc.IsConnected)
	wantBucket(t, b, lastOfEach(t, events))
}

func TestBucketEntriesNameTheirPlaceInTheStream(t *testing.T) {
	b := standing(t)
	events := story(1, 6)
	appendAll(t, b.s, events)
	wantBucket(t, b, lastOfEach(t, events))
	stream, err := b.js.Stream(t.Context(), BucketStreamName(testApp))
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetLastMsgForSubject(t.Context(), "$KV.presence_1234567890.a=2Eb")
	if err != nil {
		t.Fatal(err)
	}
	// Newer servers add a sixth word.
	want := "PRESENCE_1234567890 1 presence.v1.*.*.* $KV.presence_1234567890.{{wildcard(3)}} presence.v1.1234567890.online.a=2Eb"
	if got := msg.Header.Get("Nats-Stream-Source"); got != want && !strings.HasPrefix(got, want+" ") {
		t.Errorf("Nats-Stream-Source = %q, want %q", got, want)
	}
	wantEvent(t, &events[0], events[0].Subject(), msg.Header, msg.Data)
}

// The stream is lost and made anew, and the rest of the ledger is told. The
// server takes some ten seconds to notice.
func TestBucketCatchesUpWithAStreamMadeAnew(t *testing.T) {
	t.Parallel()
	b := standing(t)
	events := story(1, 600)
	appendAll(t, b.s, events[:200])
	wantBucket(t, b, lastOfEach(t, events[:200]))
	if err := b.js.DeleteStream(t.Context(), EventStreamName(testApp)); err != nil {
		t.Fatal(err)
	}
	ensure(t, b.s)
	// Fifty are told again: their entries must name their new places.
	appendAll(t, b.s, events[150:200])
	stream, err := b.js.Stream(t.Context(), BucketStreamName(testApp))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new place of the last event", func() bool {
		msg, err := stream.GetLastMsgForSubject(t.Context(), "$KV.presence_1234567890."+presence.EncodeUser(events[199].User.ID))
		return err == nil && strings.HasPrefix(msg.Header.Get("Nats-Stream-Source"), "PRESENCE_1234567890 50 ")
	})
	appendAll(t, b.s, events[200:])
	wantBucket(t, b, lastOfEach(t, events))
}

func TestBucketMadeAnewIsFilled(t *testing.T) {
	b := standing(t)
	events := story(1, 300)
	appendAll(t, b.s, events)
	wantBucket(t, b, lastOfEach(t, events))
	if err := b.js.DeleteKeyValue(t.Context(), BucketName(testApp)); err != nil {
		t.Fatal(err)
	}
	ensure(t, b.s)
	wantBucket(t, b, lastOfEach(t, events))
}
