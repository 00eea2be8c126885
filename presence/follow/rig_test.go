package follow_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/presence"
)

const app = 1234567890

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, localtest.ServerLeaks()) }

// rig is a server, the streams of one app, and a poller that tells what it is told
// to. Its ledger keeps everything.
type rig struct {
	t      testing.TB
	server *localtest.NATSServer // nil for a cluster
	url    string
	js     jetstream.JetStream
	stream *stream.Stream
	log    string // of new events

	mu     sync.Mutex
	ledger []presence.Event
	clock  int // seconds before the first event
	last   map[string]int64
	status map[string]presence.Status
}

func newRig(t testing.TB) *rig {
	t.Helper()
	server := localtest.NATS(t)
	r := &rig{t: t, server: server, url: server.URL(), log: "7f3a90c2", last: map[string]int64{}, status: map[string]presence.Status{}}
	r.js = r.connect()
	s, err := stream.New(r.js.Conn(), stream.Config{AppID: app}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	r.stream = s
	r.ensure()
	return r
}

// connect is a connection that is closed after the test.
func (r *rig) connect() jetstream.JetStream {
	r.t.Helper()
	closed := make(chan struct{})
	nc, err := nats.Connect(r.url, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { nc.Close(); <-closed })
	js, err := jetstream.New(nc)
	if err != nil {
		r.t.Fatal(err)
	}
	return js
}

func (r *rig) ensure() {
	r.t.Helper()
	r.eventually("the streams are made", func() bool {
		_, err := r.stream.Ensure(r.t.Context())
		return err == nil
	})
}

// change makes the next event of a user: whatever the status is, another one.
func (r *rig) change(user string, to presence.Status) presence.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := r.status[user]
	kind, ok := presence.KindOf(from, to)
	if !ok {
		r.t.Fatalf("%s is %s already", user, from)
	}
	at := time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC).Add(time.Duration(r.clock+len(r.ledger)) * time.Second)
	e := presence.Event{AppID: app, Log: r.log, Encoding: presence.EncodingV1, Transition: presence.Transition{
		Seq: int64(len(r.ledger)) + 1, PrevSeq: r.last[user], User: presence.User{ID: user}, Kind: kind, From: from, To: to, ObservedAt: at, Sweep: 1,
	}}
	if from != presence.Unknown {
		e.After = at.Add(-time.Minute)
	}
	r.ledger = append(r.ledger, e)
	r.last[user], r.status[user] = e.Seq, to
	return e
}

// some makes n random events of a crowd of users.
func (r *rig) some(n, crowd int) []presence.Event {
	var events []presence.Event
	for range n {
		user := userN(rand.IntN(crowd))
		to := presence.Status(rand.IntN(3))
		for r.statusOf(user) == to {
			to = presence.Status(rand.IntN(3))
		}
		events = append(events, r.change(user, to))
	}
	return events
}

// flip makes the next event of a user, online or offline.
func (r *rig) flip(user string) presence.Event {
	if r.statusOf(user) == presence.Online {
		return r.change(user, presence.Offline)
	}
	return r.change(user, presence.Online)
}

// ledgerFrom are the events from a number on.
func (r *rig) ledgerFrom(seq int64) []presence.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ledger[seq-1:])
}

func (r *rig) statusOf(user string) presence.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status[user]
}

// userN are ids, among them some that no subject may hold.
func userN(i int) string {
	return []string{"user-", "a.b-", "x>y ", "=2E", "100%"}[i%5] + fmt.Sprint(i)
}

// told appends events behind what the stream holds, however often it takes.
func (r *rig) told(events ...presence.Event) {
	r.t.Helper()
	for len(events) > 0 {
		if r.t.Context().Err() != nil {
			return
		}
		tail, err := r.stream.Tail(r.t.Context())
		if err != nil {
			_, _ = r.stream.Ensure(r.t.Context())
			time.Sleep(10 * time.Millisecond)
			continue
		}
		for len(events) > 0 && events[0].Seq <= tail.Seq {
			events = events[1:]
		}
		n, _ := r.stream.Append(r.t.Context(), tail.StreamSeq, events, nil)
		events = events[n:]
	}
}

// seq is the newest event of the ledger.
func (r *rig) seq() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int64(len(r.ledger))
}

// truth is the status of everybody who has one.
func (r *rig) truth() map[string]presence.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	truth := maps.Clone(r.status)
	maps.DeleteFunc(truth, func(_ string, s presence.Status) bool { return s == presence.Unknown })
	return truth
}

// settled waits until the bucket has the newest event.
func (r *rig) settled() {
	r.t.Helper()
	r.eventually("the bucket follows", func() bool {
		told, err := r.stream.BucketNewest(r.t.Context())
		return err == nil && told.Seq == r.seq()
	})
}

func (r *rig) eventually(what string, holds func() bool) {
	r.t.Helper()
	eventually(r.t, what, holds)
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
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
