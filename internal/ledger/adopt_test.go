package ledger

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/zim-presence/poller/presence"
)

// stateRow is a row of user_states, for comparison.
type stateRow struct {
	Watched          bool
	Status, Detail   string
	Since, Seen, Ask string // since noon, in seconds; "" for null
	LastSeq          int64
}

func stateOf(t testing.TB, pool *pgxpool.Pool, user string) (s stateRow) {
	t.Helper()
	err := pool.QueryRow(t.Context(), `
		select watched, status, detail,
		       coalesce(extract(epoch from since - $3)::int::text, ''), coalesce(extract(epoch from observed_at - $3)::int::text, ''),
		       coalesce(extract(epoch from asked_at - $3)::int::text, ''), last_seq
		  from user_states
		 where app_id = $1 and user_id = $2`, int64(app), user, noon).Scan(&s.Watched, &s.Status, &s.Detail, &s.Since, &s.Seen, &s.Ask, &s.LastSeq)
	if err != nil {
		t.Fatalf("state of %s: %v", user, err)
	}
	return s
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// told is an event of a user, observed that many seconds after noon, the answer
// before ten seconds earlier.
func told(seq, prev int64, u presence.User, from, to presence.Status, at int) presence.Event {
	kind, _ := presence.KindOf(from, to)
	e := presence.Event{AppID: app, Log: "0000000a", Encoding: presence.EncodingV1, Transition: presence.Transition{
		Seq: seq, PrevSeq: prev, User: u, Kind: kind, From: from, To: to, ObservedAt: noon.Add(time.Duration(at) * time.Second), Sweep: 100 + seq,
	}}
	if from != presence.Unknown {
		e.After = e.ObservedAt.Add(-10 * time.Second)
	}
	if to == presence.Offline {
		e.Detail = presence.Timeout
	}
	return e
}

// record commits an event as a sweep does.
func record(t testing.TB, lease *Lease, e presence.Event) {
	t.Helper()
	s := presence.State{User: e.User, Watched: e.To != presence.Unknown, Status: e.To, Detail: e.Detail, Since: e.ObservedAt,
		ObservedAt: e.ObservedAt, AskedAt: e.ObservedAt.Add(-time.Second), LastSeq: e.Seq}
	commit(t, lease, presence.Changes{Transitions: []presence.Transition{e.Transition}, States: []presence.State{s}}, e.Sweep)
}

func snapshot(t testing.TB, lease *Lease, sweep, seq int64, at int) {
	t.Helper()
	from := noon.Add(time.Duration(at) * time.Second)
	err := lease.SaveSnapshot(t.Context(), presence.Snapshot{Sweep: sweep, Started: from, Finished: from.Add(time.Second), Seq: seq, Online: []byte{}, Known: []byte{}})
	if err != nil {
		t.Fatal(err)
	}
}

func adopt(t testing.TB, lease *Lease, fork int64, c presence.Cursor, events ...presence.Event) (Adopted, error) {
	t.Helper()
	adoption, err := lease.Adopt(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer adoption.Close()
	if err := adoption.Stage(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	return adoption.Finish(t.Context(), fork, c)
}

// Every case of what becomes of a user: whose events are all in both, who has
// imported ones, who had only rows that are dropped, or both, or was not known.
func TestAdopt(t *testing.T) {
	l, pool := open(t)
	first := win(t, l)
	users := enroll(t, first, "both", "dropped", "fresh", "gone", "imported", "quiet")
	u := func(id string) presence.User { return users[id].User }
	const on, off, unknown = presence.Online, presence.Offline, presence.Unknown
	for _, e := range []presence.Event{
		told(1, 0, u("quiet"), unknown, on, 0), told(2, 0, u("imported"), unknown, on, 0), told(3, 0, u("dropped"), unknown, off, 0),
		told(4, 0, u("both"), unknown, on, 0), told(5, 0, u("gone"), unknown, on, 0), told(6, 5, u("gone"), on, unknown, 20),
		// From here on the ledger tells another story than the stream.
		told(7, 3, u("dropped"), off, on, 2000), told(8, 4, u("both"), on, off, 2000), told(9, 0, u("fresh"), unknown, on, 2000),
		told(10, 7, u("dropped"), on, off, 2100), told(11, 6, u("gone"), unknown, on, 2100), told(12, 11, u("gone"), on, off, 2200),
	} {
		if e.Seq == 7 {
			snapshot(t, first, 106, 6, 30)  // of the time that both know
			snapshot(t, first, 200, 6, 900) // of the other story, before anything changed in it
		}
		record(t, first, e)
	}
	snapshot(t, first, 201, 12, 2300)
	before := value[string](t, pool, `select log from apps where app_id = $1`, app)

	created := noon.Add(-time.Hour)
	stranger := presence.User{ID: "stranger"}
	lease := seize(t, l)
	done, err := adopt(t, lease, 6, presence.Cursor{Seq: 10, StreamSeq: 12, StreamCreated: created},
		told(6, 5, u("gone"), on, unknown, 20), // both have it
		told(7, 2, u("imported"), on, off, 100), told(9, 7, u("imported"), off, unknown, 120),
		told(8, 4, u("both"), on, off, 110), told(10, 0, stranger, unknown, on, 130))
	want := Adopted{Dropped: 6, Imported: 4, NewUsers: 1, States: 6, Snapshots: 2, Watched: 4, Log: done.Log}
	if diff := cmp.Diff(done, want); err != nil || diff != "" || done.Log == before {
		t.Errorf("Finish() = %v, log %s before (-got +want):\n%s", err, before, diff)
	}
	for id, want := range map[string]stateRow{
		"quiet":    {true, "online", "", "0", "0", "-1", 1},
		"imported": {false, "unknown", "", "120", "120", "110", 9},
		"both":     {true, "offline", "timeout", "110", "110", "100", 8},
		"stranger": {true, "online", "", "130", "130", "70", 10},
		// What is left of who had dropped rows only; last seen so just before those.
		"dropped": {true, "offline", "timeout", "0", "0", "1990", 3},
		"fresh":   {false, "unknown", "", "", "", "", 0},
		"gone":    {false, "unknown", "", "20", "20", "20", 6},
	} {
		if diff := cmp.Diff(stateOf(t, pool, id), want); diff != "" {
			t.Errorf("state of %s (-got +want):\n%s", id, diff)
		}
	}
	if got := value[string](t, pool, `select string_agg(seq || user_id || log, ' ' order by seq) from transitions where seq > 6`); got !=
		"7imported0000000a 8both0000000a 9imported0000000a 10stranger0000000a" {
		t.Errorf("the ledger has %s", got)
	}
	if got := value[string](t, pool, `select string_agg(sweep::text, ' ') from snapshots`); got != "106" {
		t.Errorf("snapshots of sweeps %s are left, want 106", got)
	}
	if got := value[string](t, pool, `select last_seq || ' ' || last_sweep || ' ' || last_user_no from apps where app_id = $1`, app); got != "10 201 7" {
		t.Errorf("the counters seq, sweep and user_no are %s", got)
	}
	c, err := l.Cursor(t.Context())
	if err != nil || c.Seq != 10 || c.StreamSeq != 12 || !c.StreamCreated.Equal(created) || c.RecordedAt.IsZero() {
		t.Errorf("the cursor is %+v, %v", c, err)
	}
	row, _, err := l.Event(t.Context(), 10)
	if err != nil || row.RecordedAt != c.RecordedAt || row.User.No != 7 {
		t.Errorf("event 10 is %+v, %v", row, err)
	}

	// And it goes on.
	if err := lease.Release(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	next := win(t, l)
	if next.LastSeq() != 10 || next.LastSweep() != 201 {
		t.Errorf("the next holder starts with event %d and sweep %d", next.LastSeq(), next.LastSweep())
	}
	record(t, next, told(11, 8, u("both"), off, on, 3000))
	if e, _, err := l.Event(t.Context(), 11); err != nil || e.Log != done.Log || e.RecordedAt.Before(row.RecordedAt) {
		t.Errorf("the next event is %+v, %v, want log %s", e, err, done.Log)
	}
}

// The row that is dropped told a known user once more, as a baseline: it goes on
// from unknown, and the user was not.
func TestAdoptDropsWhatWasToldOnceMore(t *testing.T) {
	l, pool := open(t)
	first := win(t, l)
	users := enroll(t, first, "again", "back")
	const on, off, unknown = presence.Online, presence.Offline, presence.Unknown
	for _, e := range []presence.Event{
		told(1, 0, users["again"].User, unknown, off, 0), told(2, 0, users["back"].User, unknown, on, 0), told(3, 2, users["back"].User, on, unknown, 10),
		told(4, 1, users["again"].User, unknown, off, 2000), told(5, 3, users["back"].User, unknown, on, 2000),
	} {
		record(t, first, e)
	}
	if watched, unlisted, err := l.Removals(t.Context(), 3, &Removals{}); err != nil || watched != 1 || unlisted != 1 {
		t.Errorf("Removals: %d watched, %d not listed, %v, want one who is not", watched, unlisted, err)
	}
	if _, err := adopt(t, seize(t, l), 3, presence.Cursor{Seq: 3, StreamSeq: 3, StreamCreated: noon.Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]stateRow{
		"again": {true, "offline", "timeout", "0", "0", "0", 1}, "back": {false, "unknown", "", "10", "10", "10", 3},
	} {
		if diff := cmp.Diff(stateOf(t, pool, id), want); diff != "" {
			t.Errorf("state of %s (-got +want):\n%s", id, diff)
		}
	}
}

// Who had an event that was deleted by hand, or dropped for its age, is brought
// to what is left.
func TestAdoptWithRowsGone(t *testing.T) {
	l, pool := open(t)
	first := win(t, l)
	users := enroll(t, first, "a", "b", "c")
	const on, off, unknown = presence.Online, presence.Offline, presence.Unknown
	for _, e := range []presence.Event{
		told(1, 0, users["a"].User, unknown, on, 0), told(2, 0, users["b"].User, unknown, on, 0), told(3, 0, users["c"].User, unknown, on, 0),
		told(4, 1, users["a"].User, on, off, 100), told(5, 2, users["b"].User, on, off, 100), told(6, 3, users["c"].User, on, off, 100),
		told(7, 6, users["c"].User, off, on, 200),
	} {
		record(t, first, e)
	}
	execute(t, pool, `delete from transitions where seq in (2, 4, 6)`) // b's for its age, the others by hand
	if _, err := adopt(t, seize(t, l), 3, presence.Cursor{Seq: 3, StreamSeq: 3, StreamCreated: noon}); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]stateRow{
		"a": {true, "online", "", "0", "0", "-60", 1},
		"b": {true, "online", "", "", "", "90", 2},
		"c": {true, "online", "", "0", "0", "-60", 3},
	} {
		if diff := cmp.Diff(stateOf(t, pool, id), want); diff != "" {
			t.Errorf("state of %s (-got +want):\n%s", id, diff)
		}
	}
}

// Nothing of an adoption happens under a lease that another has taken, or that is
// closed, or that stages an event twice.
func TestAdoptAllOrNothing(t *testing.T) {
	l, pool := open(t)
	first := win(t, l)
	alice := enroll(t, first, "alice")["alice"].User
	record(t, first, told(1, 0, alice, presence.Unknown, presence.Online, 0))
	all := func() string {
		var s string
		for _, table := range []string{"user_states", "transitions", "snapshots", "relay_cursors"} {
			s += value[string](t, pool, `select coalesce(string_agg(t::text, '|' order by t::text), '') from `+table+` t`)
		}
		return s + value[string](t, pool, `select log || last_seq || last_sweep || last_user_no from apps`)
	}
	before := all()
	old := seize(t, l)
	seize(t, l)
	e := told(1, 0, presence.User{ID: "bob"}, presence.Unknown, presence.Online, 10)
	if _, err := adopt(t, old, 0, presence.Cursor{Seq: 1, StreamSeq: 1, StreamCreated: noon}, e); !errors.Is(err, ErrFenced) {
		t.Errorf("adopting under a lost lease: %v, want ErrFenced", err)
	}
	lease := seize(t, l)
	adoption, err := lease.Adopt(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := adoption.Stage(t.Context(), []presence.Event{e}); err != nil {
		t.Fatal(err)
	}
	if err := adoption.Stage(t.Context(), []presence.Event{e}); err == nil {
		t.Error("an event was staged twice")
	}
	adoption.Close()
	if after := all(); after != before {
		t.Errorf("before: %s\nafter:  %s", before, after)
	}
}

// BenchmarkAdopt imports events of as many users as are told, a tenth of whom
// have rows to be dropped.
func BenchmarkAdopt(b *testing.B) {
	const events, users = 200_000, 100_000
	l, _ := open(b)
	for b.Loop() {
		lease := seize(b, l)
		adoption, err := lease.Adopt(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		page := make([]presence.Event, 0, 2000)
		for seq := int64(1); seq <= events; seq++ {
			from, to := presence.Unknown, presence.Online
			if seq > users {
				from, to = presence.Online, presence.Offline
			}
			page = append(page, told(seq, max(0, seq-users), presence.User{ID: fmt.Sprintf("user-%07d", seq%users)}, from, to, int(seq/100)))
			if len(page) == cap(page) {
				if err := adoption.Stage(b.Context(), page); err != nil {
					b.Fatal(err)
				}
				page = page[:0]
			}
		}
		if _, err := adoption.Finish(b.Context(), 0, presence.Cursor{Seq: events, StreamSeq: events, StreamCreated: noon}); err != nil {
			b.Fatal(err)
		}
		adoption.Close()
	}
	b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
}
