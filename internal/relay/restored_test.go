package relay

import (
	"errors"
	"strings"
	"testing"

	"github.com/zim-presence/poller/presence"
)

// asTold is an event as the stream or the bucket holds it.
func asTold(t *testing.T, e presence.Event) presence.Told {
	t.Helper()
	data, err := e.Data()
	if err != nil {
		t.Fatal(err)
	}
	return presence.Told{StreamSeq: uint64(e.Seq), Seq: e.Seq, ID: e.ID(), Subject: e.Subject(), Data: data}
}

// elsewhere is an event of the same id in another life of the database.
func elsewhere(seq int64) presence.Event {
	e := event(seq)
	e.User.ID += "-in-another-life"
	return e
}

// back restores the database to the state in which seq was its newest event.
func (w *world) back(seq int64) {
	for old := seq + 1; old <= w.newest; old++ {
		delete(w.rows, old)
	}
	w.newest = seq
	w.cursor.Seq, w.cursor.StreamSeq = min(w.cursor.Seq, seq), min(w.cursor.StreamSeq, uint64(seq))
}

// goOn adds events of another life, up to seq.
func (w *world) goOn(seq int64) {
	for w.newest < seq {
		w.newest++
		w.rows[w.newest] = elsewhere(w.newest)
	}
}

func wantContradiction(t *testing.T, err error, words ...string) {
	t.Helper()
	var contradiction *ContradictionError
	if !errors.As(err, &contradiction) {
		t.Fatalf("Drain() = %v, want a contradiction", err)
	}
	for _, word := range append(words, "mend: poller adopt --app 1234567890") {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("Drain() = %q, want it to say %q", err, word)
		}
	}
}

// A database that was restored is noticed also where the stream has nothing left
// that would show it: by the bucket.
func TestBucketRemembersWhatTheStreamHasLost(t *testing.T) {
	for _, c := range []struct {
		name string
		lost func(*world)
	}{
		{"made anew", (*world).recreate}, {"all expired", (*world).expireAll},
	} {
		for _, d := range []struct {
			name     string
			database func(*world)
			want     string
		}{
			{"older", func(w *world) { w.back(7) }, "event 10, which the ledger does not have"},
			{"overtaken", func(w *world) { w.back(7); w.goOn(12) }, "event 10, whose content is not the ledger's"},
			{"another log", func(w *world) { e := event(10); e.Log = "00000000"; w.rows[10] = e }, "where the ledger has 1234567890-00000000-10"},
		} {
			t.Run(c.name+", "+d.name, func(t *testing.T) {
				w, _ := drained(t, 10)
				w.bucket = asTold(t, event(10))
				c.lost(w)
				d.database(w)
				before := len(w.messages)
				r := w.relay()
				for range 2 {
					wantContradiction(t, r.Drain(t.Context()), "the bucket remembers", d.want)
				}
				if len(w.messages) != before {
					t.Errorf("the stream has %v", w.held())
				}
			})
		}
	}
}

// A bucket that agrees, trails, or remembers an event whose row was dropped for
// its age, holds up nothing.
func TestBucketThatAgrees(t *testing.T) {
	for name, c := range map[string]struct {
		bucket  int64
		dropped bool
	}{"agrees": {10, false}, "trails": {4, false}, "row dropped": {10, true}} {
		t.Run(name, func(t *testing.T) {
			w, _ := drained(t, 10)
			w.bucket = asTold(t, event(c.bucket))
			w.recreate()
			if c.dropped {
				delete(w.rows, c.bucket)
			}
			w.commit(3)
			mustDrain(t, w.relay())
			if w.told() != 13 || w.broken != nil {
				t.Errorf("told up to %d, want 13; %v", w.told(), w.broken)
			}
		})
	}
}

// A relay that has lived through the restoring does not write into the older
// database how far it had come: that would pass for the truth there.
func TestRelayThatLivedThroughTheRestoring(t *testing.T) {
	w, r := drained(t, 5)
	w.commit(5)
	w.fault = func(call string) (bool, error) {
		if call == "save" {
			return false, errFault
		}
		return true, nil
	}
	mustDrain(t, r) // and the database goes away before the cursor is saved
	w.fault = func(string) (bool, error) { return true, nil }
	w.back(7)
	for range 3 {
		wantContradiction(t, r.Drain(t.Context()), "event 10, which the ledger does not have")
	}
	if w.cursor.Seq > 7 {
		t.Errorf("the cursor says %d, want no more than the database had", w.cursor.Seq)
	}
	// Should a program have done so before it noticed, the ledger knows better.
	w.cursor.Seq, w.cursor.StreamSeq = 10, 10
	wantContradiction(t, w.relay().Drain(t.Context()), "event 10, which the ledger does not have")
}
