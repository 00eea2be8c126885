package relay

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zim-presence/poller/presence"
)

// drained returns a world of n events, all told by a relay, which is returned too.
func drained(t *testing.T, n int) (*world, *Relay) {
	t.Helper()
	w := newWorld()
	w.commit(n)
	r := w.relay()
	mustDrain(t, r)
	return w, r
}

func mustDrain(t *testing.T, r *Relay) {
	t.Helper()
	if err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// What contradicts stops the telling, says why, and goes on when it is mended.
func TestContradictions(t *testing.T) {
	at := func(w *world, seq int64, change func(*presence.Event)) {
		e := w.rows[seq]
		change(&e)
		w.rows[seq] = e
	}
	for _, c := range []struct {
		name  string
		spoil func(*world)
		want  string
		mend  func(*world)
	}{
		{
			"another log", func(w *world) { at(w, 10, func(e *presence.Event) { e.Log = "00000000" }) },
			"id 1234567890-7f3a90c2-10, where the ledger has 1234567890-00000000-10",
			func(w *world) { w.rows[10] = event(10) },
		},
		{
			"other data", func(w *world) { at(w, 10, func(e *presence.Event) { e.PrevSeq = 3 }) },
			"whose content is not the ledger's", func(w *world) { w.rows[10] = event(10) },
		},
		{
			"another subject", func(w *world) { at(w, 10, func(e *presence.Event) { e.User.ID = "mallory" }) },
			"whose content is not the ledger's", func(w *world) { w.rows[10] = event(10) },
		},
		{
			"unknown encoding", func(w *world) { at(w, 10, func(e *presence.Event) { e.Encoding = 9 }) },
			"encoding 9 is not known", func(w *world) { w.rows[10] = event(10) },
		},
		{
			"restored database",
			func(w *world) {
				for seq := int64(8); seq <= 13; seq++ {
					delete(w.rows, seq)
				}
				w.newest, w.cursor.Seq, w.cursor.StreamSeq = 7, 7, 7
			},
			"the stream ends with event 10, which the ledger does not have", func(w *world) { w.newest = 7; w.cursor.Seq = 7; restore(w, 13) },
		},
		{
			"restored database, gone on by as much",
			func(w *world) {
				for seq := int64(8); seq <= 13; seq++ {
					at(w, seq, func(e *presence.Event) { e.User.ID += "-in-another-life" })
				}
			},
			"whose content is not the ledger's", func(w *world) { restore(w, 13) },
		},
		{
			"the next row is missing", func(w *world) { delete(w.rows, 11) },
			"the ledger has event 12 where 11 has to follow", func(w *world) { restore(w, 13) },
		},
		{
			"a row further on is missing", func(w *world) { delete(w.rows, 12) },
			"the ledger has event 13 where 12 has to follow", func(w *world) { restore(w, 13) },
		},
		{
			"all further rows are missing", func(w *world) { delete(w.rows, 11); delete(w.rows, 12); delete(w.rows, 13) },
			"the ledger counts 13 events and has none behind 10", func(w *world) { restore(w, 13) },
		},
		{
			"rows are hidden by their time",
			func(w *world) {
				for seq := int64(11); seq <= 13; seq++ {
					at(w, seq, func(e *presence.Event) { e.RecordedAt = start })
				}
			},
			"the ledger counts 13 events and has none behind 10", func(w *world) { restore(w, 13) },
		},
		{
			"somebody else's message", func(w *world) { w.intrude() },
			errForeign.Error(), func(w *world) { w.deleteLast() },
		},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				w, r := drained(t, 10)
				w.commit(3)
				c.spoil(w)
				if restarted && c.want != errForeign.Error() { // a new relay cannot know of those
					r = w.relay()
				}
				var health error
				r.Health = func(err error) { health = err }
				before := w.held()
				for range 3 {
					if err := r.Drain(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(health, err) {
						t.Fatalf("Drain() = %v, health %v, want %q of both", err, health, c.want)
					}
				}
				if got := w.held(); !slices.Equal(got, before) {
					t.Fatalf("the stream has %v, want %v as before", got, before)
				}
				c.mend(w)
				mustDrain(t, r)
				if got, want := slices.DeleteFunc(w.held(), func(seq int64) bool { return seq == 0 }), upTo(1, 13); health != nil || !slices.Equal(got, want) {
					t.Errorf("mended: the stream has %v, health %v, want %v", got, health, want)
				}
			})
		}
	}
}

func restore(w *world, newest int64) {
	for w.newest = 0; w.newest < newest; {
		w.newest++
		w.rows[w.newest] = event(w.newest)
	}
}

// An end that cannot be read is found by the distance of the two numbers.
func TestUnreadableEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		happen func(*world)
		want   []int64 // told afterwards
	}{
		{"expired", func(w *world) { w.expireAll() }, upTo(11, 13)},
		{"last deleted", func(w *world) { w.deleteLast() }, upTo(11, 13)},
		{"cursor behind, expired", func(w *world) { w.cursor.Seq, w.cursor.StreamSeq = 4, 4; w.expireAll() }, upTo(11, 13)},
		{"somebody else's removed", func(w *world) { w.intrude(); w.deleteLast() }, upTo(11, 13)},
		{"rolled back, then deleted", func(w *world) { w.rollBack(4); w.deleteLast() }, upTo(7, 13)},
		{"rolled back to nothing", func(w *world) { w.rollBack(10) }, upTo(1, 13)},
		{"recreated", func(w *world) { w.recreate() }, upTo(11, 13)},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				w, r := drained(t, 10)
				w.commit(3)
				if restarted {
					r = w.relay()
				}
				c.happen(w)
				var told []int64
				r.Told = func(e *presence.Event, _ int64) { told = append(told, e.Seq) }
				mustDrain(t, r)
				if !slices.Equal(told, c.want) || w.broken != nil {
					t.Errorf("told %v, want %v; %v", told, c.want, w.broken)
				}
			})
		}
	}
}

// An end that is gone, of a stream that nobody remembers or with more events
// than there are, is not guessed.
func TestEndsThatAreNotGuessed(t *testing.T) {
	for name, c := range map[string]struct {
		happen func(*world)
		want   string
	}{
		"another stream": {func(w *world) { w.recreate(); w.intrude(); w.deleteLast() }, "not the one remembered"},
		"more than there are": {func(w *world) {
			w.newest = 8
			delete(w.rows, 9)
			delete(w.rows, 10)
			w.deleteLast()
		}, "event 10, gone already, which the ledger does not have"},
		"less than none": {func(w *world) { w.cursor.Seq, w.cursor.StreamSeq = 2, 20; w.expireAll() }, "by the distance"},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := drained(t, 10)
			c.happen(w)
			var contradiction *ContradictionError
			if err := w.relay().Drain(t.Context()); !errors.As(err, &contradiction) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Drain() = %v, want a contradiction that says %q", err, c.want)
			}
		})
	}
}

// Copies of old events at the end of the stream are not where it has come to:
// all that was told since them would be told again.
func TestCopiesOfEvents(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		w, r := drained(t, 10)
		w.copyOf(4)
		w.copyOf(5)
		w.commit(3)
		if restarted {
			r = w.relay()
		}
		for copies := range 2 {
			var copied *CopyError
			if err := r.Drain(t.Context()); !errors.As(err, &copied) || *copied != (CopyError{app, int64(5 - copies), uint64(12 - copies), 10, copied.User}) {
				t.Fatalf("Drain() = %v, want that message %d is a copy of event %d", err, 12-copies, 5-copies)
			}
			event := w.rows[int64(5-copies)]
			want := fmt.Sprintf("nats stream rmm PRESENCE_%d %d; nats stream purge KV_presence_%d --subject '$KV.presence_%d.%s'",
				uint32(app), 12-copies, uint32(app), uint32(app), presence.EncodeUser(event.User.ID))
			if got := copied.Mend(); got != want {
				t.Errorf("Mend() = %s, want %s", got, want)
			}
			w.messages[11-copies].deleted = true // by the operator
		}
		mustDrain(t, r)
		if got := w.held(); !slices.Equal(got, upTo(1, 13)) {
			t.Errorf("mended: the stream has %v, want 13 events", got)
		}
	}
}

// A stream that somebody made anew is compared before anything goes into it.
func TestMadeAnewBySomebodyElse(t *testing.T) {
	w, r := drained(t, 10)
	w.commit(3)
	w.recreate()
	w.fault = func(call string) (bool, error) {
		if call == "ensure" {
			return false, errFault
		}
		return true, nil
	}
	if err := r.Drain(t.Context()); !errors.Is(err, errFault) || len(w.held()) != 0 {
		t.Fatalf("Drain() = %v with %v told, want %v and nothing", err, w.held(), errFault)
	}
	w.fault = func(string) (bool, error) { return true, nil }
	mustDrain(t, r)
	if got := w.held(); !slices.Equal(got, upTo(11, 13)) {
		t.Errorf("the stream has %v, want what had not been told", got)
	}
}

// Rows that were told and then dropped for their age are no contradiction, and
// what is behind them is told.
func TestDroppedRows(t *testing.T) {
	for _, dropped := range []int64{9, 10} {
		for _, unreadable := range []bool{false, true} {
			w, _ := drained(t, 10)
			for seq := int64(1); seq <= dropped; seq++ {
				delete(w.rows, seq)
			}
			if unreadable {
				w.expireAll()
			}
			r := w.relay()
			mustDrain(t, r)
			w.commit(3)
			mustDrain(t, r)
			if w.told() != 13 || w.broken != nil {
				t.Errorf("%d rows dropped: told up to %d, want 13; %v", dropped, w.told(), w.broken)
			}
		}
	}
	// A stream that lost more than the ledger still has cannot be made whole.
	w, _ := drained(t, 10)
	for seq := int64(1); seq <= 9; seq++ {
		delete(w.rows, seq)
	}
	w.rollBack(5)
	if err := w.relay().Drain(t.Context()); err == nil || !strings.Contains(err.Error(), "where 6 has to follow") {
		t.Errorf("Drain() = %v, want that rows are missing", err)
	}
}
