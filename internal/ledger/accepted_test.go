package ledger

import (
	"testing"

	"github.com/zim-presence/poller/presence"
)

// What an adoption goes on without is written down, exactly; what a later one
// finds again, or drops, is not.
func TestAdoptNotesItsGaps(t *testing.T) {
	l, pool := open(t)
	first := win(t, l)
	users := enroll(t, first, "a", "b")
	a, b := users["a"].User, users["b"].User
	const on, off, unknown = presence.Online, presence.Offline, presence.Unknown
	record(t, first, told(1, 0, a, unknown, on, 0))
	record(t, first, told(2, 0, b, unknown, on, 0))
	gaps := func() string {
		return value[string](t, pool, `select coalesce(string_agg(app_id || ':' || first_seq || '-' || last_seq, ' ' order by first_seq), '') from gaps where app_id = $1`, app)
	}
	end := func(seq int64) presence.Cursor {
		return presence.Cursor{Seq: seq, StreamSeq: uint64(seq), StreamCreated: noon}
	}
	execute(t, pool, `insert into gaps (app_id, first_seq, last_seq) values (9, 1, 100)`) // another app's
	for _, c := range []struct {
		name   string
		fork   int64
		told   int64
		events []presence.Event
		want   string
	}{
		{"nothing is missing", 2, 3, []presence.Event{told(3, 1, a, on, off, 100)}, ""},
		{"before, between and behind", 2, 12, []presence.Event{told(5, 4, a, on, off, 200), told(6, 2, b, on, off, 200), told(10, 8, a, off, on, 300)},
			"4000000001:3-4 4000000001:7-9 4000000001:11-12"},
		{"some are found again", 2, 12, []presence.Event{told(5, 4, a, on, off, 200), told(6, 2, b, on, off, 200), told(8, 6, b, off, on, 250),
			told(10, 8, a, off, on, 300), told(11, 10, a, on, off, 350)}, "4000000001:3-4 4000000001:7-7 4000000001:9-9 4000000001:12-12"},
		{"the fork stays", 8, 9, []presence.Event{told(9, 8, b, on, off, 400)}, "4000000001:3-4 4000000001:7-7"},
		{"the fork lies within one", 3, 9, []presence.Event{told(4, 1, a, on, off, 400), told(9, 2, b, on, off, 400)}, "4000000001:3-3 4000000001:5-8"},
	} {
		lease := seize(t, l)
		if _, err := adopt(t, lease, c.fork, end(c.told), c.events...); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := gaps(); got != c.want {
			t.Errorf("%s: the gaps are %q, want %q", c.name, got, c.want)
		}
	}
	if got := value[string](t, pool, `select first_seq || '-' || last_seq from gaps where app_id = 9`); got != "1-100" {
		t.Errorf("another app's gap is %s now", got)
	}
}
