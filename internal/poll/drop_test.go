package poll

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/presence"
)

// A watchlist that is suddenly empty, or a half or less, after being large,
// removes nobody until a second sweep finds it so, or at once where that is
// allowed.
func TestSuddenDrop(t *testing.T) {
	for _, c := range []struct {
		name         string
		before, left int
		allowed      bool
		held         bool
	}{
		{"empty", 1000, 0, false, true},
		{"less than half", 1000, 499, false, true},
		{"a half", 1000, 500, false, true},
		{"a half of an odd number, rounded up", 1001, 501, false, false},
		{"more than a half", 1000, 501, false, false},
		{"empty, and that is allowed", 1000, 0, true, false},
		{"just large, a half", 100, 50, false, true},
		{"just large, more than a half", 100, 51, false, false},
		{"just not large, empty", 99, 0, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := names(c.before)
			b, l := newBook(), newList(all...)
			r := recorder(t, l, everybody(presence.Online), b)
			r.AllowSuddenDrop = c.allowed
			var log bytes.Buffer
			r.Log = zerolog.New(&log)
			mustSweep(t, r, b)
			l.ids = all[:c.left]
			first := mustSweep(t, r, b)
			gone := c.before - c.left
			if !c.held {
				if first.RemovalsHeld != 0 || first.Removed != gone || first.Watched != c.left {
					t.Errorf("%+v, want %d removed at once", first, gone)
				}
				return
			}
			if first.RemovalsHeld != gone || first.Removed != 0 || first.Watched != c.before || first.Transitions != 0 || first.Seen != c.before {
				t.Errorf("first look: %+v, want %d held, nobody removed, everybody asked about", first, gone)
			}
			if n := strings.Count(log.String(), "gone at once"); n != 1 || !strings.Contains(log.String(), `"level":"warn"`) {
				t.Errorf("%d warnings in %s", n, &log)
			}
			if got := named(t, log.Bytes()); len(got) != 5 || !subset(got, all[c.left:]) {
				t.Errorf("the log names %q, want five of those who are gone", got)
			}
			second := mustSweep(t, r, b)
			if second.RemovalsHeld != 0 || second.Removed != gone || second.Watched != c.left || second.Transitions != gone {
				t.Errorf("second look: %+v, want %d removed", second, gone)
			}
		})
	}
}

// named are the ids that the warning about a drop gives as examples.
func named(t *testing.T, log []byte) (ids []string) {
	t.Helper()
	for line := range bytes.Lines(log) {
		var said struct {
			Examples []string `json:"examples"`
		}
		if err := json.Unmarshal(line, &said); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		ids = append(ids, said.Examples...)
	}
	return ids
}

func subset(some, of []string) bool {
	return !slices.ContainsFunc(some, func(id string) bool { return !slices.Contains(of, id) })
}

// Who is held is asked about as before: what is true of them is told.
func TestHeldAreAskedAbout(t *testing.T) {
	b, l := newBook(), newList(names(200)...)
	r := recorder(t, l, everybody(presence.Online), b)
	mustSweep(t, r, b)
	r.Zim, l.ids = everybody(presence.Offline), nil
	if report := mustSweep(t, r, b); report.RemovalsHeld != 200 || report.Seen != 200 || report.Transitions != 200 {
		t.Errorf("%+v, want 200 held, and told that they are offline", report)
	}
	for id, s := range b.users {
		if !s.Watched || s.Status != presence.Offline {
			t.Fatalf("%s: %+v, want watched and offline", id, s)
		}
	}
}

// Emptied and filled again, with a sweep between, is no change.
func TestReloadAroundASweep(t *testing.T) {
	all := names(300)
	b, l := newBook(), newList(all...)
	r := recorder(t, l, everybody(presence.Online), b)
	mustSweep(t, r, b)
	told := len(b.events)
	for range 3 { // each time anew
		l.ids = nil
		if report := mustSweep(t, r, b); report.RemovalsHeld != 300 {
			t.Errorf("empty: %+v, want 300 held", report)
		}
		l.ids = all
		if report := mustSweep(t, r, b); report.RemovalsHeld+report.Removed+report.Added != 0 {
			t.Errorf("filled again: %+v, want no change", report)
		}
	}
	if len(b.events) != told {
		t.Errorf("events %v", kinds(b.events[told:]))
	}
}

// New users are taken in meanwhile, and do not hide how many are gone.
func TestExchangeIsADrop(t *testing.T) {
	b, l := newBook(), newList(names(300)...)
	r := recorder(t, l, everybody(presence.Online), b)
	mustSweep(t, r, b)
	l.ids = nil
	for _, id := range names(300) {
		l.ids = append(l.ids, "fresh "+id)
	}
	first := mustSweep(t, r, b)
	if first.RemovalsHeld != 300 || first.Added != 300 || first.Watched != 600 || first.Seen != 600 || first.Transitions != 300 {
		t.Errorf("first look: %+v, want 300 held and 300 added", first)
	}
	if second := mustSweep(t, r, b); second.Removed != 300 || second.Watched != 300 || second.Transitions != 300 {
		t.Errorf("second look: %+v, want 300 removed", second)
	}
}

// A new term, after a restart or another holder, knows from the loaded state how
// large the list was, and takes a first look again.
func TestNewTermLooksAgain(t *testing.T) {
	b, l := newBook(), newList(names(300)...)
	mustSweep(t, recorder(t, l, everybody(presence.Online), b), b)
	l.ids = nil
	for range 3 {
		if report := mustSweep(t, recorder(t, l, everybody(presence.Online), b), b); report.RemovalsHeld != 300 || report.Removed != 0 {
			t.Errorf("first look of a term: %+v, want 300 held", report)
		}
	}
}

// A reading that breaks off is no look at all.
func TestBrokenReadingIsNoLook(t *testing.T) {
	all := names(300)
	b, l := newBook(), newList(all...)
	r := recorder(t, l, everybody(presence.Online), b)
	mustSweep(t, r, b)
	l.fails = 10
	if _, err := r.Sweep(t.Context()); err == nil {
		t.Fatal("a reading that breaks off is no error")
	}
	l.ids, l.fails = nil, -1
	if report := mustSweep(t, r, b); report.RemovalsHeld != 300 {
		t.Errorf("first look: %+v, want 300 held", report)
	}
	l.ids, l.fails = all, 10
	if _, err := r.Sweep(t.Context()); err == nil {
		t.Fatal("a reading that breaks off is no error")
	}
	l.ids, l.fails = nil, -1
	if report := mustSweep(t, r, b); report.Removed != 300 {
		t.Errorf("second look: %+v, want 300 removed", report)
	}
}
