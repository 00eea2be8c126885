package stream

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

func TestAppendStoresInOrder(t *testing.T) {
	b := standing(t)
	events := story(1, 10_000)
	var told []int
	n, err := b.s.Append(t.Context(), 0, events, func(i int) { told = append(told, i) })
	if n != len(events) || err != nil {
		t.Fatalf("Append = %d, %v; want %d", n, err, len(events))
	}
	if len(told) != len(events) {
		t.Fatalf("acked was called %d times, want %d", len(told), len(events))
	}
	for i, got := range told {
		if got != i {
			t.Fatalf("call %d of acked told %d", i, got)
		}
	}
	wantStored(t, b, events)
	more := story(10_001, 10_003)
	appendAll(t, b.s, more)
	wantStored(t, b, append(events, more...))
}

func TestAppendOfNothing(t *testing.T) {
	b := newBench(t)
	if n, err := b.s.Append(t.Context(), 7, nil, nil); n != 0 || err != nil {
		t.Errorf("Append of nothing = %d, %v", n, err)
	}
}

func TestAppendBehindTheWrongMessage(t *testing.T) {
	b := standing(t)
	appendAll(t, b.s, story(1, 5))
	for _, after := range []uint64{0, 4, 6, 1 << 60} {
		n, err := b.s.Append(t.Context(), after, story(6, 2000), nil)
		if n != 0 || !errors.Is(err, ErrSurprise) {
			t.Errorf("Append behind %d = %d, %v; want 0 and a surprise", after, n, err)
		}
	}
	wantStored(t, b, story(1, 5))
}

func TestAppendMeetsAForeignMessage(t *testing.T) {
	b := standing(t)
	events := story(1, 5000)
	n, err := b.s.Append(t.Context(), 0, events, func(i int) {
		if i == 999 {
			if _, err := b.js.Publish(t.Context(), "presence.v1.1234567890.online.mallory", []byte("x")); err != nil {
				t.Error(err)
			}
		}
	})
	if !errors.Is(err, ErrSurprise) || n < 1000 || n == len(events) {
		t.Fatalf("Append = %d, %v; want 1000 or a few more, and a surprise", n, err)
	}
	msg := message(t, b, uint64(n+1))
	if msg.Header.Get(presence.HeaderSeq) != "" {
		t.Errorf("message %d is event %s, want the foreign one", n+1, msg.Header.Get(presence.HeaderSeq))
	}
	var foreign *ForeignError
	if _, err = b.s.Tail(t.Context()); !errors.As(err, &foreign) || foreign.StreamSeq != uint64(n+1) || foreign.Subject != msg.Subject {
		t.Errorf("Tail: got %v, want a ForeignError about message %d on %s", err, n+1, msg.Subject)
	}
	// What was in flight behind the foreign message must not follow it.
	if err := eventStream(t, b).DeleteMsg(t.Context(), uint64(n+1)); err != nil {
		t.Fatal(err)
	}
	wantStored(t, b, events[:n])
}

func TestAppendOfAnIDThatTheServerRemembers(t *testing.T) {
	b := standing(t)
	appendAll(t, b.s, story(1, 3))
	if err := eventStream(t, b).Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	n, err := b.s.Append(t.Context(), 3, story(1, 3), nil)
	if n != 0 || !errors.Is(err, ErrDuplicate) || !errors.Is(err, ErrSurprise) {
		t.Errorf("Append = %d, %v; want 0 and a duplicate", n, err)
	}
	wantStored(t, b, nil)
}

// tell appends the rest of a story as the drain does: tail, append, and again.
func tell(t *testing.T, s *Stream, events []presence.Event, acked func(int)) (rounds int) {
	t.Helper()
	for {
		rounds++
		at, err := s.Tail(t.Context())
		if err == nil && at.Seq == int64(len(events)) {
			return rounds
		}
		if err == nil {
			_, err = s.Append(t.Context(), at.StreamSeq, events[at.Seq:], acked)
		}
		if err != nil && !errors.Is(err, ErrSurprise) {
			t.Fatal(err)
		}
		if errors.Is(err, nats.ErrDisconnected) || errors.Is(err, nats.ErrReconnectBufExceeded) {
			eventually(t, "the connection comes back", s.nc.IsConnected)
		}
	}
}

func TestNothingIsLostOrDoubledWhenTheServerRestarts(t *testing.T) {
	t.Parallel()
	b := standing(t)
	events := story(1, 10_000)
	count := 0
	rounds := tell(t, b.s, events, func(int) {
		if count++; count%3000 == 0 {
			b.server.Restart()
		}
	})
	if rounds < 3 {
		t.Errorf("told in %d rounds: no restart was met", rounds)
	}
	wantStored(t, b, events)
}

func TestNothingIsLostOrDoubledWhenTheConnectionBreaks(t *testing.T) {
	t.Parallel()
	b := standing(t)
	events := story(1, 20_000)
	count := 0
	rounds := tell(t, b.s, events, func(int) {
		if count++; count%3000 == 0 {
			if err := b.nc.ForceReconnect(); err != nil {
				t.Error(err)
			}
		}
	})
	if rounds < 3 {
		t.Errorf("told in %d rounds: no break was met", rounds)
	}
	wantStored(t, b, events)
}

func TestAppendWhileTheServerIsAway(t *testing.T) {
	b := standing(t)
	b.server.Stop()
	eventually(t, "the client sees it", func() bool { return !b.nc.IsConnected() })
	if n, err := b.s.Append(t.Context(), 0, story(1, 3), nil); n != 0 || !errors.Is(err, ErrSurprise) {
		t.Errorf("Append = %d, %v; want 0 and a surprise", n, err)
	}
	if _, err := b.s.Tail(t.Context()); !errors.Is(err, ErrSurprise) {
		t.Errorf("Tail: %v, want a surprise", err)
	}
	if _, err := b.s.Ensure(t.Context()); !errors.Is(err, ErrSurprise) {
		t.Errorf("Ensure: %v, want a surprise", err)
	}
}

func TestAppendOnAClosedConnectionIsBroken(t *testing.T) {
	b := standing(t)
	b.nc.Close()
	if n, err := b.s.Append(t.Context(), 0, story(1, 3), nil); n != 0 || errors.Is(err, ErrSurprise) || !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("Append = %d, %v; want 0 and %v", n, err, nats.ErrConnectionClosed)
	}
}

func TestAppendEndsWhenTheConnectionBreaks(t *testing.T) {
	b := standing(t)
	b.s.patience = 24 * time.Hour
	events := story(1, 20_000)
	n, err := b.s.Append(t.Context(), 0, events, func(i int) {
		if i == 100 {
			if err := b.nc.ForceReconnect(); err != nil {
				t.Error(err)
			}
		}
	})
	if n <= 100 || n == len(events) || !errors.Is(err, ErrSurprise) {
		t.Errorf("Append = %d, %v; want 101 or some more, and a surprise", n, err)
	}
}

func TestAppendStopsWithItsContext(t *testing.T) {
	b := standing(t)
	ctx, cancel := context.WithCancel(t.Context())
	events := story(1, 50_000)
	last := -1
	n, err := b.s.Append(ctx, 0, events, func(i int) {
		if last = i; i == 100 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrSurprise) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if n != last+1 || n < 101 || n > 101+3*inFlight {
		t.Errorf("n = %d, the last told ack was %d; want little more than 101", n, last)
	}
}

func TestAppendWithADeadContextSendsNothing(t *testing.T) {
	b := standing(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := b.s.Append(ctx, 0, story(1, 3), nil); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("Append = %d, %v; want 0, %v", n, err, context.Canceled)
	}
	if err := b.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	wantStored(t, b, nil)
}

func TestAppendEndsWhenNoAckComes(t *testing.T) {
	b := newBench(t)
	cfg := b.s.cfg.eventStream()
	cfg.NoAck = true
	if _, err := b.js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	b.s.patience = 50 * time.Millisecond
	if n, err := b.s.Append(t.Context(), 0, story(1, 3), nil); n != 0 || !errors.Is(err, ErrSurprise) {
		t.Errorf("Append = %d, %v; want 0 and a surprise", n, err)
	}
}

func TestAppendIsBroken(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(*testing.T, *bench)
		events []presence.Event
		n      int
		want   error
	}{
		{"missing", func(t *testing.T, b *bench) {
			if err := b.js.DeleteStream(t.Context(), EventStreamName(testApp)); err != nil {
				t.Fatal(err)
			}
		}, story(1, 3), 0, ErrMissing},
		{"full of messages", func(t *testing.T, b *bench) {
			update(t, b, func(c *config) { c.MaxMsgs = 5 })
		}, story(1, 10), 5, ErrFull},
		{"full of bytes", func(t *testing.T, b *bench) {
			update(t, b, func(c *config) { c.MaxBytes = 100 })
		}, story(1, 10), 0, ErrFull},
		{"too large", func(t *testing.T, b *bench) {
			update(t, b, func(c *config) { c.MaxMsgSize = 100 })
		}, story(1, 10), 0, ErrTooLarge},
		{"sealed", func(t *testing.T, b *bench) {
			update(t, b, func(c *config) { c.Sealed = true })
		}, story(1, 10), 0, ErrAltered},
		{"taken by another stream", func(t *testing.T, b *bench) {
			update(t, b, func(c *config) { c.Subjects = []string{"elsewhere"} })
			if _, err := b.js.CreateStream(t.Context(), config{Name: "OTHER", Subjects: []string{"presence.>"}}); err != nil {
				t.Fatal(err)
			}
		}, story(1, 10), 0, ErrAltered},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := standing(t)
			c.before(t, b)
			n, err := b.s.Append(t.Context(), 0, c.events, nil)
			if n != c.n || !errors.Is(err, c.want) || errors.Is(err, ErrSurprise) {
				t.Errorf("Append = %d, %v; want %d, %v", n, err, c.n, c.want)
			}
			if other, err := b.js.Stream(t.Context(), "OTHER"); err == nil && other.CachedInfo().State.LastSeq != 0 {
				t.Errorf("the other stream got %d messages", other.CachedInfo().State.LastSeq)
			}
		})
	}
}

func TestAppendOfAnEventThatCannotBeEncoded(t *testing.T) {
	b := standing(t)
	events := story(1, 600)
	events[300].Encoding = 9
	n, err := b.s.Append(t.Context(), 0, events, nil)
	if n != 300 || err == nil || errors.Is(err, ErrSurprise) {
		t.Errorf("Append = %d, %v; want 300 and a broken error", n, err)
	}
	wantStored(t, b, events[:300])
}

func update(t *testing.T, b *bench, change func(*config)) {
	t.Helper()
	cfg := eventStream(t, b).CachedInfo().Config
	change(&cfg)
	if _, err := b.js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

func eventStream(t *testing.T, b *bench) jetstream.Stream {
	t.Helper()
	stream, err := b.js.Stream(t.Context(), EventStreamName(testApp))
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func message(t *testing.T, b *bench, seq uint64) *jetstream.RawStreamMsg {
	t.Helper()
	msg, err := eventStream(t, b).GetMsg(t.Context(), seq)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func BenchmarkAppend(b *testing.B) {
	bench := standing(b)
	events := story(1, int64(b.N))
	b.ReportAllocs()
	b.ResetTimer()
	if n, err := bench.s.Append(b.Context(), 0, events, nil); err != nil {
		b.Fatalf("%d: %v", n, err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
