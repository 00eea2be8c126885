package stream

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/presence"
)

const testApp = 1234567890

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, localtest.ServerLeaks()) }

// bench is what most tests need: a server, a connection and the streams.
type bench struct {
	server *localtest.NATSServer
	nc     *nats.Conn
	js     jetstream.JetStream
	s      *Stream
}

// newBench starts a server; no stream is made yet.
func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{server: localtest.NATS(t)}
	b.nc = dial(t, Options{URL: b.server.URL(), Name: t.Name(), Log: zerolog.Nop()})
	b.js = jetStream(t, b.nc)
	b.s = open(t, b.nc, Config{AppID: testApp})
	return b
}

// standing is newBench with both streams made.
func standing(t testing.TB) *bench {
	t.Helper()
	b := newBench(t)
	ensure(t, b.s)
	return b
}

func dial(t testing.TB, o Options) *nats.Conn {
	t.Helper()
	nc, err := Connect(o)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	return nc
}

func jetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func open(t testing.TB, nc *nats.Conn, cfg Config) *Stream {
	t.Helper()
	s, err := New(nc, cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ensure(t testing.TB, s *Stream) {
	t.Helper()
	var warnings []string
	var err error
	eventually(t, "the files of an earlier stream are gone", func() bool {
		warnings, err = s.Ensure(t.Context())
		return !isCode(err, codeStreamCreate)
	})
	if err != nil || len(warnings) > 0 {
		t.Fatalf("Ensure: warnings %q, error %v", warnings, err)
	}
}

func tail(t testing.TB, s *Stream) presence.Tail {
	t.Helper()
	got, err := s.Tail(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// appendAll appends events behind the tail and demands success.
func appendAll(t testing.TB, s *Stream, events []presence.Event) {
	t.Helper()
	n, err := s.Append(t.Context(), tail(t, s).StreamSeq, events, nil)
	if n != len(events) || err != nil {
		t.Fatalf("Append of %d events = %d, %v", len(events), n, err)
	}
}

// ids are user ids, among them some that no subject may hold.
func ids(i int) string {
	return []string{"alice", "a.b", "x>y z", "=2E", "100%", "user-" + fmt.Sprint(i%97)}[i%6]
}

// story returns the events from seq first to seq last of one ledger.
func story(first, last int64) []presence.Event {
	born := time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC)
	var events []presence.Event
	for seq := first; seq <= last; seq++ {
		e := presence.Event{AppID: testApp, Log: "7f3a90c2", Encoding: presence.EncodingV1, Transition: presence.Transition{
			Seq: seq, User: presence.User{ID: ids(int(seq))}, Kind: presence.KindOnline, From: presence.Offline, To: presence.Online,
			ObservedAt: born.Add(time.Duration(seq) * time.Second), Sweep: seq / 10,
		}}
		if seq%2 == 0 {
			e.Kind, e.From, e.To, e.Detail = presence.KindOffline, presence.Online, presence.Offline, presence.Timeout
		}
		events = append(events, e)
	}
	return events
}

// eventually waits for a condition that other programs bring about.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

// wantStored demands that the event stream holds exactly these events, in
// order, each with its headers and its bytes.
func wantStored(t testing.TB, b *bench, events []presence.Event) {
	t.Helper()
	stream, err := b.js.Stream(t.Context(), EventStreamName(testApp))
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().State.Msgs; got != uint64(len(events)) {
		t.Fatalf("stream holds %d messages, want %d", got, len(events))
	}
	if len(events) == 0 {
		return
	}
	reader, err := stream.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := reader.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	for i := range events {
		msg, err := messages.Next(jetstream.NextContext(t.Context()))
		if err != nil {
			t.Fatalf("message %d: %v", i+1, err)
		}
		wantEvent(t, &events[i], msg.Subject(), msg.Headers(), msg.Data())
	}
}

func wantEvent(t testing.TB, e *presence.Event, subject string, header nats.Header, data []byte) {
	t.Helper()
	want, err := e.Data()
	if err != nil {
		t.Fatal(err)
	}
	if subject != e.Subject() || string(data) != string(want) {
		t.Fatalf("event %d: got %s %s, want %s %s", e.Seq, subject, data, e.Subject(), want)
	}
	for key, value := range map[string]string{
		"Nats-Msg-Id": e.ID(), "Presence-Seq": fmt.Sprint(e.Seq), "Content-Type": "application/cloudevents+json",
	} {
		if got := header.Get(key); got != value {
			t.Fatalf("event %d: header %s = %q, want %q", e.Seq, key, got, value)
		}
	}
}
