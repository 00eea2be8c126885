package relay

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zim-presence/poller/presence"
)

// erase makes tombstones of rows, as an erasure does.
func erase(w *world, seqs ...int64) {
	for _, seq := range seqs {
		e := w.rows[seq]
		e.Transition = presence.Transition{Seq: seq, Kind: presence.KindErased, ObservedAt: e.RecordedAt, Sweep: e.Sweep}
		w.rows[seq] = e
	}
}

// Of a row that was erased the id alone has to agree with what was told.
func TestErasedRows(t *testing.T) {
	for _, c := range []struct {
		name   string
		happen func(*world)
		told   []int64
		err    string
	}{
		{"the end", func(w *world) { erase(w, 9, 10) }, upTo(11, 13), ""},
		{"told and untold", func(w *world) { erase(w, 10, 11, 13) }, upTo(11, 13), ""},
		{"the bucket's newest", func(w *world) {
			w.bucket, _ = toldAs(w.rows[10])
			erase(w, 10)
			w.expireAll()
		}, upTo(11, 13), ""},
		{"a tombstone that was told is another", func(w *world) {
			erase(w, 10)
			w.messages[9].event = w.rows[10]
			w.messages[9].event.Sweep++
		}, nil, "whose content is not the ledger's"},
		{"a tombstone that was told", func(w *world) {
			erase(w, 10)
			w.messages[9].event = w.rows[10]
		}, upTo(11, 13), ""},
		{"of another log", func(w *world) {
			erase(w, 10)
			e := w.rows[10]
			e.Log = "00000000"
			w.rows[10] = e
		}, nil, "where the ledger has 1234567890-00000000-10"},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/restarted=%t", c.name, restarted), func(t *testing.T) {
				w, r := drained(t, 10)
				w.commit(3)
				c.happen(w)
				if restarted {
					r = w.relay()
				}
				var told []int64
				r.Told = func(e *presence.Event, _ int64) { told = append(told, e.Seq) }
				if err := w.relay().Compare(t.Context()); (c.err == "") != (err == nil) {
					t.Errorf("Compare() = %v, want %q", err, c.err)
				}
				err := r.Drain(t.Context())
				if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
					t.Errorf("Drain() = %v, want %q", err, c.err)
				}
				if !slices.Equal(told, c.told) || w.broken != nil {
					t.Errorf("told %v, want %v; %v", told, c.told, w.broken)
				}
			})
		}
	}
}

// Compare tells nothing, and finds what would halt the telling.
func TestCompare(t *testing.T) {
	w, _ := drained(t, 10)
	w.commit(3)
	if err := w.relay().Compare(t.Context()); err != nil || len(w.held()) != 10 {
		t.Errorf("Compare() = %v, and the stream has %v; want nothing told", err, w.held())
	}
	delete(w.rows, 12)
	var hole *HoleError
	if err := w.relay().Compare(t.Context()); !errors.As(err, &hole) {
		t.Errorf("Compare() = %v, want a hole", err)
	}
}

// A database was restored to event 10, and some of what was told since was erased
// meanwhile: of it a tombstone is imported, and what is missing else is named.
func TestSurveyAcrossErasedEvents(t *testing.T) {
	restored := func(gone ...int64) *archive {
		a := archived(30, ofSeven)
		for seq := int64(11); seq <= 30; seq++ {
			delete(a.rows, seq)
		}
		a.newest, a.cursor.Seq, a.cursor.StreamSeq = 10, 10, 10
		for _, seq := range gone {
			a.messages[seq-1].deleted = true
			delete(a.entries, ofSeven(seq).User.ID)
		}
		a.remember()
		return a
	}
	for _, c := range []struct {
		name    string
		gone    []int64
		erased  presence.SeqSet
		missing []Span
	}{
		{"all that is gone", []int64{3, 11, 15, 16, 20}, presence.SeqSetOf(3, 11, 15, 16, 20), nil},
		{"more than is gone", []int64{15}, presence.SeqSetOf(1, 15, 16, 17, 99), nil},
		{"less than is gone", []int64{15, 16, 17}, presence.SeqSetOf(16), []Span{{15, 15}, {17, 17}}},
		{"none of it", []int64{15, 20}, nil, []Span{{15, 15}, {20, 20}}},
		{"up to the fork", []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, presence.SeqSetOf(10, 11, 12), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := restored(c.gone...)
			a.erased = c.erased
			split, found, err := a.survey(false)
			var gap *GapError
			if (c.missing == nil) != (err == nil) || err != nil && !errors.As(err, &gap) || !slices.Equal(split.Missing, c.missing) {
				t.Fatalf("survey: %+v, %v, want missing %v", split, err, c.missing)
			}
			if err == nil && (split.Fork != 10 || split.Imported != 20 || split.Told.Seq != 30) {
				t.Errorf("survey: %+v, want 20 imported behind event 10", split)
			}
			for seq := int64(11); seq <= 30; seq++ {
				e, ok := found[seq]
				erased := slices.Contains(c.gone, seq) && c.erased.Contains(seq)
				switch {
				case erased && (e.Kind != presence.KindErased || e.ID() != func() string { e := ofSeven(seq); return e.ID() }()):
					t.Errorf("event %d is found as %+v, want a tombstone of the same id", seq, e)
				case ok && !erased && e.Kind == presence.KindErased:
					t.Errorf("event %d is found as a tombstone", seq)
				}
				if _, err := e.Data(); ok && err != nil {
					t.Error(err)
				}
			}
		})
	}
	// Where nobody can say what was erased, it is a gap, if gaps are accepted.
	a := restored(15)
	a.errErased = errFault
	if _, _, err := a.survey(false); !errors.Is(err, errFault) {
		t.Errorf("survey: %v, want %v", err, errFault)
	}
	if split, _, err := a.survey(true); err != nil || !slices.Equal(split.Missing, []Span{{15, 15}}) {
		t.Errorf("survey with gaps accepted: %+v, %v, want 15 missing", split, err)
	}
}

// What was told as erased is imported as it was told, also where the restored
// ledger still has the user's row.
func TestSurveyOfErasedEvents(t *testing.T) {
	a := archived(30, func(seq int64) presence.Event {
		e := ofSeven(seq)
		if seq == 12 || seq == 30 {
			e.Transition = presence.Transition{Seq: seq, Kind: presence.KindErased, ObservedAt: e.RecordedAt, Sweep: e.Sweep}
		}
		return e
	})
	a.rows[12], a.rows[30] = ofSeven(12), ofSeven(30)
	split, found, err := a.survey(false)
	if err != nil || split.Fork != 29 || len(found) != 1 || found[30].Kind != presence.KindErased {
		t.Errorf("survey: %+v, %v, %v, want event 30 imported as a tombstone", split, found, err)
	}
}
