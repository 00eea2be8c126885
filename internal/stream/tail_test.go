package stream

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/zim-presence/poller/presence"
)

func TestTailOfAnEmptyStream(t *testing.T) {
	b := standing(t)
	got := tail(t, b.s)
	if got.StreamSeq != 0 || got.Found || got.Created.IsZero() {
		t.Errorf("Tail = %+v, want nothing but Created", got)
	}
}

func TestTailIsTheLastEvent(t *testing.T) {
	b := standing(t)
	for _, last := range []int64{1, 2, 1000} {
		at := tail(t, b.s)
		if n, err := b.s.Append(t.Context(), at.StreamSeq, story(at.Seq+1, last), nil); err != nil {
			t.Fatal(n, err)
		}
		want := story(last, last)[0]
		got := tail(t, b.s)
		if !got.Found || got.StreamSeq != uint64(last) || got.Seq != last || got.ID != want.ID() {
			t.Errorf("Tail = %+v, want event %d", got, last)
		}
		wantEvent(t, &want, got.Subject, message(t, b, uint64(last)).Header, got.Data)
	}
}

// The last message can be gone while its number is still what comes next; the
// newest event that is left is told then.
func TestTailIsGone(t *testing.T) {
	kept := map[string]int64{"deleted": 9}
	for name, remove := range map[string]func(*testing.T, *bench){
		"deleted": func(t *testing.T, b *bench) {
			if err := eventStream(t, b).DeleteMsg(t.Context(), 10); err != nil {
				t.Fatal(err)
			}
		},
		"purged": func(t *testing.T, b *bench) {
			if err := eventStream(t, b).Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"expired": func(t *testing.T, b *bench) {
			update(t, b, func(c *config) { c.MaxAge, c.Duplicates = 100*time.Millisecond, 100*time.Millisecond })
			eventually(t, "the events expire", func() bool { return eventStream(t, b).CachedInfo().State.Msgs == 0 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := standing(t)
			appendAll(t, b.s, story(1, 10))
			created := tail(t, b.s).Created
			remove(t, b)
			got := tail(t, b.s)
			if got.StreamSeq != 10 || got.Found || got.Kept != kept[name] || got.Seq != 0 || got.ID != "" || got.Subject != "" || got.Data != nil || !got.Created.Equal(created) {
				t.Errorf("Tail = %+v, want 10 and not found", got)
			}
			appendAll(t, b.s, story(11, 12))
		})
	}
}

// An operator who deletes a message of somebody else leaves a number behind
// that was no event.
func TestTailBehindADeletedForeignMessage(t *testing.T) {
	b := standing(t)
	appendAll(t, b.s, story(1, 10))
	ack, err := b.js.Publish(t.Context(), subjectPrefix(testApp)+"online.somebody", []byte("else"))
	if err != nil {
		t.Fatal(err)
	}
	if err := eventStream(t, b).DeleteMsg(t.Context(), ack.Sequence); err != nil {
		t.Fatal(err)
	}
	if got := tail(t, b.s); got.StreamSeq != 11 || got.Found || got.Kept != 10 {
		t.Errorf("Tail = %+v, want event 10 kept before message 11", got)
	}
}

func TestTailOfAStreamMadeAnew(t *testing.T) {
	b := standing(t)
	appendAll(t, b.s, story(1, 10))
	before := tail(t, b.s)
	if err := b.js.DeleteStream(t.Context(), EventStreamName(testApp)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.s.Tail(t.Context()); !errors.Is(err, ErrMissing) || errors.Is(err, ErrSurprise) {
		t.Errorf("Tail without a stream: %v, want %v", err, ErrMissing)
	}
	ensure(t, b.s)
	after := tail(t, b.s)
	if after.StreamSeq != 0 || !after.Created.After(before.Created) {
		t.Errorf("Tail = %+v, want 0 and a later Created than %s", after, before.Created)
	}
}

func TestTailIsForeign(t *testing.T) {
	for name, header := range map[string]nats.Header{
		"no headers": nil, "no number": {"Nats-Msg-Id": {"x"}}, "no digits": {presence.HeaderSeq: {"seven"}},
		"zero": {presence.HeaderSeq: {"0"}}, "negative": {presence.HeaderSeq: {"-3"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := standing(t)
			appendAll(t, b.s, story(1, 3))
			subject := "presence.v1.1234567890.online.mallory"
			if _, err := b.js.PublishMsg(t.Context(), &nats.Msg{Subject: subject, Header: header}); err != nil {
				t.Fatal(err)
			}
			var got *ForeignError
			at, err := b.s.Tail(t.Context())
			if at.StreamSeq != 4 || at.Created.IsZero() || at.Found {
				t.Errorf("Tail = %+v, want that there are 4 messages", at)
			}
			if !errors.As(err, &got) || errors.Is(err, ErrSurprise) {
				t.Fatalf("Tail: %v, want a ForeignError", err)
			}
			if want := (ForeignError{EventStreamName(testApp), subject, 4}); *got != want {
				t.Errorf("got %+v, want %+v", *got, want)
			}
		})
	}
}

func TestTailStopsWithItsContext(t *testing.T) {
	b := standing(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.s.Tail(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, ErrSurprise) {
		t.Errorf("Tail: %v, want %v", err, context.Canceled)
	}
}
