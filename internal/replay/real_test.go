package replay_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/replay"
	"github.com/zim-presence/poller/presence"
)

// run runs a replay to its end.
func (h *house) run(r *replay.Replay) replay.Report {
	h.t.Helper()
	report, err := r.Run(h.t.Context())
	h.must(err)
	return report
}

func TestReplaysOfOneTimeAreBothWhole(t *testing.T) {
	h := newHouse(t, 12_000, 100)
	_, err := h.stream.Ensure(t.Context())
	h.must(err)
	all, err := h.book.After(t.Context(), presence.Cursor{}, 12_000)
	h.must(err)
	if _, err := h.stream.Append(t.Context(), 0, all, nil); err != nil { // a server that remembers every id
		t.Fatal(err)
	}
	for _, c := range []choice{
		{name: "one", first: 1, last: 12_000},
		{name: "two", first: 1, last: 12_000},
		{name: "part", first: 5000, last: 5001},
		{name: "some", first: 3, last: 11_990, Choice: ledger.Choice{Users: []int32{7, 99}}},
		{name: "kinds", first: 1, last: 11_990, Choice: ledger.Choice{Kinds: []presence.Kind{presence.KindOffline, presence.KindBaseline}}},
	} {
		want := h.wanted(c)
		report := h.run(h.start(c))
		if report.Told != int64(len(want)) || report.Seq != c.last {
			t.Errorf("%s: told %d up to event %d, want %d up to %d", c.name, report.Told, report.Seq, len(want), c.last)
		}
		h.stored(c.name, want)
		if row, _, err := h.book.Replay(t.Context(), c.name); err != nil || row.Ended.IsZero() || row.Told != report.Told || row.ToldSeq != c.last || row.Holder != "" {
			t.Errorf("%s: the row is %+v, %v", c.name, row, err)
		}
	}
	// The live stream has what it had.
	tail, err := h.stream.Tail(t.Context())
	if err != nil || tail.StreamSeq != 12_000 || tail.Seq != 12_000 {
		t.Errorf("the event stream ends with %+v, %v; want 12000", tail, err)
	}
}

// After any number of interruptions, wherever they fall, the stream is the ledger's
// choice, whole and in order.
func TestInterruptedAtRandom(t *testing.T) {
	h := newHouse(t, 30_000, 50)
	h.execute(`update transitions set kind = 'erased', user_no = 0, user_id = '', from_status = 'unknown', to_status = 'unknown', detail = '', after = null, prev_seq = 0 where seq % 17 = 0`)
	h.execute(`delete from transitions where seq between 14000 and 14005`)
	h.execute(`insert into gaps (app_id, first_seq, last_seq) values ($1, 14000, 14005)`, app)
	for _, c := range []choice{
		{name: "all", first: 10, last: 29_900},
		{name: "filtered", first: 10, last: 29_900, Choice: ledger.Choice{Kinds: []presence.Kind{presence.KindOnline}}},
	} {
		dice := rand.New(rand.NewPCG(1, 2))
		most := len(h.wanted(c)) / 8 // messages between two interruptions
		for cuts := 0; ; {
			ctx, cancel := context.WithCancel(t.Context())
			r := h.start(c)
			cutting := &cutter{Teller: r.Teller, left: 1 + dice.IntN(most)}
			r.Teller = cutting
			cutting.cut = func() {
				cuts++
				switch dice.IntN(4) {
				case 0:
					h.server.Restart() // it goes on by itself
					cutting.left = 1 + dice.IntN(most)
				case 1:
					h.execute(`update replays set told_seq = first_seq - 1, told = 0 where name = $1`, c.name) // kill -9: nothing was noted
					cancel()
				default:
					cancel()
				}
			}
			_, err := r.Run(ctx)
			cancel()
			if err == nil {
				if cuts < 3 {
					t.Errorf("%s was interrupted %d times only", c.name, cuts)
				}
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		h.stored(c.name, h.wanted(c))
	}
}

// cutUp runs a replay until it has told everything, and stops it after every few
// messages.
func (h *house) cutUp(c choice, each int) {
	h.t.Helper()
	for range 10_000 {
		r := h.start(c)
		r.Teller = &limiter{Teller: r.Teller, left: each}
		_, err := r.Run(h.t.Context())
		if err == nil {
			return
		}
		if !errors.Is(err, errEnough) {
			h.t.Fatal(err)
		}
	}
	h.t.Fatalf("%s does not come to its end", c.name)
}

// cutter interrupts after so many messages, or a few more: several are told at a time.
type cutter struct {
	replay.Teller
	left int
	cut  func()
}

func (c *cutter) Tell(ctx context.Context, messages []presence.Retold, told func(int)) (int, error) {
	before := 0
	return c.Teller.Tell(ctx, messages, func(n int) {
		told(n)
		c.left, before = c.left-(n-before), n
		if c.left <= 0 {
			c.left = math.MaxInt
			c.cut()
		}
	})
}
