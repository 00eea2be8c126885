package stream

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// acker stands in for the event stream and answers n publishes in its own way. It
// has answered, or never will, before the connection is closed.
func acker(t *testing.T, b *bench, n int, answer func(replies []string)) {
	t.Helper()
	var replies []string
	var answering sync.Mutex
	ended := false
	sub, err := b.nc.Subscribe(subjectPrefix(testApp)+">", func(m *nats.Msg) {
		answering.Lock()
		defer answering.Unlock()
		if ended {
			return
		}
		if replies = append(replies, m.Reply); len(replies) == n {
			answer(replies)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = sub.Unsubscribe() // the connection may be closed
		answering.Lock()
		defer answering.Unlock()
		ended = true
	})
}

func storedAs(seq int) string { return fmt.Sprintf(`{"stream":"PRESENCE_1234567890","seq":%d}`, seq) }

// However acks come, those that say what is expected count, once and in order,
// and others count for nothing.
func TestAcksOfEveryKind(t *testing.T) {
	const n = 20
	inOrder := func(i int) []int { return []int{i} }
	for _, c := range []struct {
		name string
		// order names the events whose acks are sent, in this order.
		order []int
		// lost: the round waits for an ack in vain.
		lost bool
		// say is the ack of event i, where it is not as expected.
		say  map[int]string
		told int
		want error
	}{
		{name: "backwards", order: []int{19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, told: n},
		{name: "each twice", order: twice(n, inOrder), told: n},
		{name: "all, and all again", order: append(twice(n/2, inOrder), twice(n, inOrder)...), told: n},
		{name: "the first lost", lost: true, order: span(1, n), told: 0, want: ErrSurprise},
		{name: "one lost in the middle", lost: true, order: append(span(0, 7), span(8, n)...), told: 7, want: ErrSurprise},
		{name: "the last lost", lost: true, order: span(0, n-1), told: n - 1, want: ErrSurprise},
		{name: "a duplicate", order: span(0, n), say: map[int]string{5: `{"stream":"PRESENCE_1234567890","seq":6,"duplicate":true}`}, told: 5, want: ErrDuplicate},
		{name: "another place", order: span(0, n), say: map[int]string{5: storedAs(7)}, told: 5, want: ErrSurprise},
		{name: "another stream", order: span(0, n), say: map[int]string{5: `{"stream":"OTHER","seq":6}`}, told: 5, want: ErrAltered},
		{name: "no JSON", order: span(0, n), say: map[int]string{5: "+OK"}, told: 5, want: ErrSurprise},
		{name: "nothing", order: span(0, n), say: map[int]string{5: ""}, told: 5, want: ErrSurprise},
		{name: "an error behind one that is late", order: []int{9, 0, 1, 2, 3, 4, 5, 6, 7, 8}, told: 9, want: ErrSurprise,
			say: map[int]string{9: `{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 4"},"stream":"PRESENCE_1234567890","seq":0}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			if c.lost {
				b.s.patience = 300 * time.Millisecond
			}
			acker(t, b, n, func(replies []string) {
				for _, i := range c.order {
					ack, other := c.say[i]
					if !other {
						ack = storedAs(i + 1)
					}
					if err := b.nc.Publish(replies[i], []byte(ack)); err != nil {
						t.Error(err)
					}
				}
			})
			var told []int
			got, err := b.s.Append(t.Context(), 0, story(1, n), func(i int) { told = append(told, i) })
			if got != c.told || !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("Append = %d, %v; want %d, %v", got, err, c.told, c.want)
			}
			if !slices.Equal(told, span(0, c.told)) {
				t.Errorf("told %v, want %d in order", told, c.told)
			}
		})
	}
}

func span(from, to int) (numbers []int) {
	for i := from; i < to; i++ {
		numbers = append(numbers, i)
	}
	return numbers
}

func twice(n int, each func(int) []int) (order []int) {
	for i := range n {
		order = append(append(order, each(i)...), each(i)...)
	}
	return order
}

// Acks for events that were not sent, or for none, do not confuse a round; those
// of a round that was given up do not reach the next one.
func TestAcksOfOtherRounds(t *testing.T) {
	b := newBench(t)
	b.s.patience = 300 * time.Millisecond
	var first []string
	acker(t, b, 3, func(replies []string) { first = slices.Clone(replies) })
	if n, err := b.s.Append(t.Context(), 0, story(1, 3), nil); n != 0 || !errors.Is(err, ErrSurprise) {
		t.Fatalf("Append without acks = %d, %v; want 0 and a surprise", n, err)
	}
	acker(t, b, 3, func(replies []string) {
		inbox := replies[0][:strings.LastIndex(replies[0], ".")+1]
		for _, subject := range append([]string{inbox + "7", inbox + "-1", inbox + "x", inbox + strconv.Itoa(1<<40)}, first...) {
			if err := b.nc.Publish(subject, []byte(storedAs(1))); err != nil {
				t.Error(err)
			}
		}
	})
	if n, err := b.s.Append(t.Context(), 0, story(1, 3), nil); n != 0 || !errors.Is(err, ErrSurprise) {
		t.Errorf("Append = %d, %v; want 0 and a surprise: no ack was its own", n, err)
	}
}

// A server that comes back without JetStream is weather, and it is said.
func TestNoJetStream(t *testing.T) {
	opts := server.Options{JetStream: true, StoreDir: t.TempDir()}
	ns := serveAs(t, opts)
	opts.Port = nsPort(t, ns.Addr().String())
	b := &bench{nc: dial(t, Options{URL: "nats://" + ns.Addr().String(), Log: zerolog.Nop()})}
	b.js = jetStream(t, b.nc)
	b.s = open(t, b.nc, Config{AppID: testApp})
	ensure(t, b.s)
	appendAll(t, b.s, story(1, 3))
	restart := func(jetStream bool) {
		ns.Shutdown()
		ns.WaitForShutdown()
		opts.JetStream = jetStream
		ns = serveAs(t, opts)
		eventually(t, "the connection", func() bool { return b.nc.IsConnected() && b.nc.Flush() == nil })
	}
	restart(false)
	_, errTail := b.s.Tail(t.Context())
	_, errEnsure := b.s.Ensure(t.Context())
	n, errAppend := b.s.Append(t.Context(), 3, story(4, 6), nil)
	for what, err := range map[string]error{"Tail": errTail, "Ensure": errEnsure, "Append": errAppend} {
		if !errors.Is(err, ErrSurprise) || what != "Append" && !strings.Contains(err.Error(), "JetStream") {
			t.Errorf("%s: %v, want a surprise that names JetStream", what, err)
		}
	}
	if n != 0 || !errors.Is(errAppend, nats.ErrNoResponders) {
		t.Errorf("Append = %d, %v; want 0, %v", n, errAppend, nats.ErrNoResponders)
	}
	restart(true)
	tell(t, b.s, story(1, 6), nil)
	wantStored(t, b, story(1, 6))
}

// The limits of the account and of the server are full, not weather; nothing that
// was stored is lost, and nothing twice when there is room again.
func TestFullAccountAndServer(t *testing.T) {
	for name, opts := range map[string]server.Options{
		"account": {}, "server": {JetStreamMaxStore: 40_000},
	} {
		t.Run(name, func(t *testing.T) {
			ns := serve(t, opts)
			if name == "account" {
				limits := map[string]server.JetStreamAccountLimits{"": {MaxMemory: -1, MaxStore: 40_000, MaxStreams: -1, MaxConsumers: -1}}
				if err := ns.GlobalAccount().UpdateJetStreamLimits(limits); err != nil {
					t.Fatal(err)
				}
			}
			b := &bench{nc: dial(t, Options{URL: "nats://" + ns.Addr().String(), Log: zerolog.Nop()})}
			b.js = jetStream(t, b.nc)
			b.s = open(t, b.nc, Config{AppID: testApp})
			ensure(t, b.s)
			events := story(1, 1000)
			n, err := b.s.Append(t.Context(), 0, events, nil)
			if n == 0 || n == len(events) || !errors.Is(err, ErrFull) || errors.Is(err, ErrSurprise) {
				t.Fatalf("Append = %d, %v; want some and %v", n, err, ErrFull)
			}
			if at := tail(t, b.s); at.Seq != int64(n) {
				t.Errorf("the stream ends with event %d, want %d", at.Seq, n)
			}
			if err := ns.GlobalAccount().UpdateJetStreamLimits(map[string]server.JetStreamAccountLimits{
				"": {MaxMemory: -1, MaxStore: 1 << 30, MaxStreams: -1, MaxConsumers: -1},
			}); name == "account" && err != nil {
				t.Fatal(err)
			}
			if name == "account" {
				tell(t, b.s, events, nil)
				wantStored(t, b, events)
			}
		})
	}
}
