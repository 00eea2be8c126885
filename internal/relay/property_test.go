package relay

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// trial is a world with a relay, to which everything happens.
type trial struct {
	*world
	relay *Relay
	t     *rapid.T
	// most is the newest event ever told, in whatever stream.
	most int64
}

func newTrial(t *rapid.T) *trial {
	w := newWorld()
	w.fault = func(call string) (bool, error) {
		if rapid.IntRange(0, 7).Draw(t, call) > 0 {
			return true, nil
		}
		return rapid.Bool().Draw(t, "done all the same"), errFault
	}
	w.cut = func(n int) (stored, acked int) {
		stored = rapid.IntRange(0, n).Draw(t, "stored")
		return stored, rapid.IntRange(0, stored).Draw(t, "acked")
	}
	return &trial{world: w, relay: w.relay(), t: t}
}

// drain tells, and holds what is told to the promise.
func (r *trial) drain() {
	began := len(r.messages)
	// The cursor is saved now and then: whether it is this time is up to chance.
	if rapid.Bool().Draw(r.t, "a while later") {
		r.relay.savedAt = time.Time{}
	}
	_ = r.relay.drain(r.t.Context())
	r.check(began)
}

func (r *trial) check(began int) {
	if r.broken != nil {
		r.t.Fatal(r.broken)
	}
	if len(r.messages) > 0 && began == 0 {
		if first := r.messages[0].event.Seq; first > r.most+1 {
			r.t.Fatalf("a new stream begins with event %d, when %d was the newest told", first, r.most)
		}
	}
	r.most = max(r.most, r.told())
}

// end lets the faults stop.
func (r *trial) end() {
	r.fault = func(string) (bool, error) { return true, nil }
	began := len(r.messages)
	for i := range 2 {
		if err := r.relay.Drain(r.t.Context()); err != nil && i > 0 {
			r.t.Fatalf("without faults: %v", err)
		}
	}
	r.check(began)
	if r.most != r.newest {
		r.t.Errorf("told up to event %d of %d", r.most, r.newest)
	}
}

// Whatever fails, and whether it was done before it failed or not, the stream
// is a run of the ledger at every instant, nothing twice, nothing skipped; and
// in the end all is told.
func TestAlwaysARunOfTheLedger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newTrial(t)
		t.Repeat(map[string]func(*rapid.T){
			"commit":      func(t *rapid.T) { r.commit(rapid.IntRange(1, 5).Draw(t, "events")) },
			"drain":       func(*rapid.T) { r.drain() },
			"drain again": func(*rapid.T) { r.drain() },
			"restart":     func(*rapid.T) { r.relay = r.world.relay() },
			"delete last": func(*rapid.T) {
				if r.cursor.Seq >= r.told() { // else a new relay tells it again, rather than pass over another
					r.deleteLast()
				}
			},
			"expire":    func(*rapid.T) { r.expireAll() },
			"roll back": func(t *rapid.T) { r.rollBack(rapid.IntRange(1, 4).Draw(t, "messages")) },
			"recreate":  func(*rapid.T) { r.recreate() },
		})
		r.end()
	})
}

// Somebody else's message stops the telling until it is removed, and then it
// does not stand for an event.
func TestForeignMessagesStandForNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newTrial(t)
		_ = r.relay.Drain(t.Context())
		for r.relay.cursor.StreamCreated.IsZero() {
			_ = r.relay.Drain(t.Context())
		}
		t.Repeat(map[string]func(*rapid.T){
			"commit": func(t *rapid.T) { r.commit(rapid.IntRange(1, 5).Draw(t, "events")) },
			"drain":  func(*rapid.T) { r.drain() },
			"intrude": func(t *rapid.T) {
				if r.relay.unheard > 0 && len(r.held()) == 0 {
					return // nothing tells the two apart when both are gone
				}
				for range rapid.IntRange(1, 3).Draw(t, "foreign") {
					r.intrude()
				}
				before := fmt.Sprint(r.held())
				r.commit(rapid.IntRange(0, 3).Draw(t, "events"))
				r.drain()
				if after := fmt.Sprint(r.held()); after != before {
					t.Fatalf("the stream was %s, and is %s behind a foreign message", before, after)
				}
				for i := range r.messages {
					r.messages[i].deleted = r.messages[i].deleted || r.messages[i].event.Seq == 0
				}
			},
		})
		r.end()
	})
}
