package relay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/relay"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/migrations"
	"github.com/zim-presence/poller/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(localtest.Main(m), localtest.ServerLeaks()) }

const (
	app   = 4_000_000_001
	crowd = 100 // users; each commit flips all of them
)

// house is a real ledger, a real stream, and the state that feeds the one.
type house struct {
	t      *testing.T
	server *localtest.NATSServer
	js     jetstream.JetStream
	book   *ledger.Ledger
	stream *stream.Stream
	lease  *ledger.Lease
	memory *diff.Memory
	sweep  int64
	flips  int                    // how many users change in a commit; 0: all
	asMade jetstream.StreamConfig // the event stream's, where a test wants it

	woken chan struct{}
	well  chan struct{} // a round went well
	told  chan int64
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{
		t: t, server: localtest.NATS(t), woken: make(chan struct{}, 1), well: make(chan struct{}, 1), told: make(chan int64, 1),
	}
	nc, err := stream.Connect(stream.Options{URL: h.server.URL(), Name: t.Name(), Log: zerolog.Nop()})
	must(t, err)
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	h.js, err = jetstream.New(nc)
	must(t, err)
	h.stream, err = stream.New(nc, stream.Config{AppID: app}, zerolog.Nop())
	must(t, err)

	dsn := localtest.Postgres(t)
	_, err = migrations.Up(t.Context(), dsn)
	must(t, err)
	pool, err := pgxpool.New(t.Context(), dsn)
	must(t, err)
	t.Cleanup(pool.Close)
	h.book = ledger.New(pool, app, zerolog.Nop())
	must(t, h.book.EnsurePartitions(t.Context()))
	h.lease, err = h.book.TryAcquire(t.Context(), ledger.Terms{Owner: "test", TTL: time.Hour, Window: time.Second})
	must(t, err)
	t.Cleanup(func() { must(t, h.lease.Release(context.Background(), time.Time{})) })
	h.memory = diff.New(0)
	h.enroll()
	return h
}

func (h *house) enroll() {
	ids := make([]string, crowd)
	for i := range ids {
		ids[i] = fmt.Sprintf("user %d", i)
	}
	states, err := h.lease.Enroll(h.t.Context(), ids)
	must(h.t, err)
	for _, s := range states {
		h.memory.Add(s, time.Time{})
	}
}

// commit adds an event for each user, and wakes the relay.
func (h *house) commit() {
	h.t.Helper()
	h.commitAsleep()
	select {
	case h.woken <- struct{}{}:
	default:
	}
}

// commitAsleep does not wake the relay.
func (h *house) commitAsleep() {
	h.t.Helper()
	h.sweep++
	now := presence.Instant(time.Now())
	answer := presence.Answer{AskedAt: now, At: now}
	for u := range h.memory.Users() {
		if h.flips > 0 && int(u.No) > h.flips {
			continue
		}
		status, detail := presence.Online, presence.NoDetail
		if h.sweep%2 == 0 {
			status, detail = presence.Offline, presence.Timeout
		}
		answer.Observations = append(answer.Observations, presence.Observation{User: u, Status: status, Detail: detail})
	}
	h.memory.Observe(answer, h.sweep)
	must(h.t, h.lease.Commit(h.t.Context(), h.memory.Take(), h.sweep))
}

func (h *house) relay() *relay.Relay {
	return &relay.Relay{
		Ledger: h.book, Cursors: h.book, Stream: h.stream, Woken: h.woken, Log: zerolog.Nop(),
		Told: func(e *presence.Event, _ int64) {
			select {
			case h.told <- e.Seq:
			default:
			}
		},
		Health: func(err error) {
			if err == nil {
				select {
				case h.well <- struct{}{}:
				default:
				}
			}
		},
	}
}

// run runs a relay until the function that is returned is called.
func run(r *relay.Relay) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { r.Run(ctx); close(done) }()
	return func() { cancel(); <-done }
}

// waitFor waits until the stream ends with that number.
func (h *house) waitFor(streamSeq uint64) {
	h.t.Helper()
	for range h.well {
		if s, err := h.js.Stream(h.t.Context(), stream.EventStreamName(app)); err == nil && s.CachedInfo().State.LastSeq >= streamSeq {
			return
		}
	}
}

// check compares the stream with the ledger: from its message first on it holds
// the events from seq on, all of them, once, in order, as the ledger has them.
func (h *house) check(first uint64, seq int64) {
	h.t.Helper()
	newest, err := h.book.Newest(h.t.Context())
	must(h.t, err)
	s, err := h.js.Stream(h.t.Context(), stream.EventStreamName(app))
	must(h.t, err)
	if last, want := s.CachedInfo().State.LastSeq, first+uint64(newest-seq); last != want {
		h.t.Fatalf("the stream ends with message %d, want %d", last, want)
	}
	events, err := h.book.After(h.t.Context(), presence.Cursor{Seq: seq - 1}, 100_000)
	must(h.t, err)
	for i := range events {
		msg, err := s.GetMsg(h.t.Context(), first+uint64(i))
		must(h.t, err)
		data, err := events[i].Data()
		must(h.t, err)
		if msg.Header.Get(presence.HeaderSeq) != strconv.FormatInt(seq+int64(i), 10) || !bytes.Equal(msg.Data, data) || msg.Subject != events[i].Subject() {
			h.t.Fatalf("message %d is %s %s, want event %d: %s", msg.Sequence, msg.Subject, msg.Data, events[i].Seq, data)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// 5,000 events, while NATS is away, and comes back, and is restarted in the
// middle of an append: all of them once, in order.
func TestOutagesOfNATS(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	defer run(h.relay())()
	for range 10 {
		h.commit()
	}
	h.waitFor(1)
	h.server.Stop()
	for range 30 {
		h.commit()
	}
	h.server.Start()
	for seq := range h.told {
		if seq > 1000 {
			break
		}
	}
	h.server.Restart()
	for range 10 {
		h.commit()
	}
	h.waitFor(50 * crowd)
	h.check(1, 1)
}

// A wake-up that does not come is made good by the clock.
func TestNobodyWakesIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	defer run(h.relay())()
	<-h.well
	h.commitAsleep()
	h.waitFor(crowd)
	h.check(1, 1)
}

// Ends that cannot be read, before the same relay and before a new one, with the
// server restarted in between.
func TestEndsOfRealStreams(t *testing.T) {
	t.Parallel()
	name := stream.EventStreamName(app)
	for _, c := range []struct {
		what   string
		happen func(context.Context, jetstream.JetStream) error
		first  uint64
	}{
		{"all expired", func(ctx context.Context, js jetstream.JetStream) error {
			s, err := js.Stream(ctx, name)
			return errors.Join(err, s.Purge(ctx))
		}, crowd + 1},
		{"last deleted", func(ctx context.Context, js jetstream.JetStream) error {
			s, err := js.Stream(ctx, name)
			return errors.Join(err, s.DeleteMsg(ctx, crowd))
		}, crowd + 1},
		{"recreated", func(ctx context.Context, js jetstream.JetStream) error { return js.DeleteStream(ctx, name) }, 1},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(c.what, func(t *testing.T) {
				t.Parallel()
				h := newHouse(t)
				h.commit()
				r := h.relay()
				must(t, r.Drain(t.Context()))
				must(t, c.happen(t.Context(), h.js))
				if restarted {
					h.server.Restart()
					r = h.relay()
				}
				h.commit()
				defer run(r)()
				h.waitFor(c.first + crowd - 1)
				h.check(c.first, crowd+1)
			})
		}
	}
}

// A new app's relay remembers the stream before it has told anything, and an
// empty ledger is no fault.
func TestNothingToTell(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	must(t, h.relay().Drain(t.Context()))
	c, err := h.book.Cursor(t.Context())
	must(t, err)
	if c.Seq != 0 || c.StreamSeq != 0 || c.StreamCreated.IsZero() || !c.RecordedAt.IsZero() {
		t.Errorf("the cursor is %+v, want nothing of a stream that is known", c)
	}
	h.commit()
	must(t, h.relay().Drain(t.Context()))
	h.check(1, 1)
}
