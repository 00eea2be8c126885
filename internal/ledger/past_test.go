package ledger

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/zim-presence/poller/presence"
)

// recorded puts events into the ledger by hand, first to last, of one user, a
// second apart on one day; the app's row says so.
func recorded(t testing.TB, pool *pgxpool.Pool, first, last int64, day time.Time) {
	t.Helper()
	name := "transitions_" + day.Format("20060102")
	execute(t, pool, fmt.Sprintf(`create table if not exists %s partition of transitions for values from ('%s') to ('%s')`,
		name, day.Format(time.RFC3339), day.AddDate(0, 0, 1).Format(time.RFC3339)))
	execute(t, pool, `
		insert into transitions (app_id, seq, user_no, user_id, kind, from_status, to_status, detail, after, observed_at, prev_seq,
		                         sweep, log, encoding, recorded_at)
		select $1, n, 1, 'u', 'online', 'offline', 'online', '', null, $4::timestamptz + n * interval '1 second', n - 1, 1, 'abcdef01', 1,
		       $4::timestamptz + n * interval '1 second' + interval '1 millisecond'
		  from generate_series($2::bigint, $3::bigint) n`, app, first, last, day)
	execute(t, pool, `insert into apps (app_id, last_seq) values ($1, $2) on conflict (app_id) do update set last_seq = $2`, app, last)
}

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// span reads the numbers of a range.
func span(t testing.TB, p *Past, behind presence.Cursor, last int64) (seqs []int64, err error) {
	t.Helper()
	err = p.Events(t.Context(), behind, last, func(page []presence.Event) error {
		for i := range page {
			seqs = append(seqs, page[i].Seq)
		}
		return nil
	})
	return seqs, err
}

func TestEventsOverPagesAndPartitions(t *testing.T) {
	l, pool := open(t)
	recorded(t, pool, 1, eventsRead, monday)
	recorded(t, pool, eventsRead+1, 2*eventsRead+7, monday.AddDate(0, 0, 1))
	for _, c := range []struct{ behind, last int64 }{
		{0, 0}, {0, 1}, {0, eventsRead}, {0, eventsRead + 1}, {3, 2*eventsRead + 7}, {eventsRead, 2 * eventsRead}, {9, 9}, {9, 4},
	} {
		seqs, err := span(t, l.Past(), presence.Cursor{Seq: c.behind}, c.last)
		if err != nil {
			t.Fatal(err)
		}
		if want := max(0, c.last-c.behind); int64(len(seqs)) != want || want > 0 && (seqs[0] != c.behind+1 || seqs[want-1] != c.last) {
			t.Errorf("behind %d to %d: %d events, want %d", c.behind, c.last, len(seqs), want)
		}
	}
	stop := errors.New("enough")
	if err := l.Past().Events(t.Context(), presence.Cursor{}, 5, func([]presence.Event) error { return stop }); err != stop { //nolint:errorlint // as it is
		t.Errorf("yield's error comes back as %v", err)
	}
}

func TestEventsFindHoles(t *testing.T) {
	l, pool := open(t)
	recorded(t, pool, 1, 30, monday)
	execute(t, pool, `delete from transitions where seq in (5, 6, 7, 20, 30)`)
	for _, c := range []struct {
		behind, last int64
		gaps         []Gap
		hole         *HoleError
	}{
		{0, 4, nil, nil},
		{0, 5, nil, &HoleError{5, 5}},
		{0, 10, nil, &HoleError{5, 7}},
		{5, 10, nil, &HoleError{6, 7}},
		{4, 7, []Gap{{5, 7}}, nil},
		{0, 10, []Gap{{5, 6}}, &HoleError{7, 7}},
		{0, 10, []Gap{{6, 9}}, &HoleError{5, 5}},
		{0, 19, []Gap{{1, 2}, {5, 5}, {6, 7}}, nil},
		{0, 25, []Gap{{5, 7}}, &HoleError{20, 20}},
		{21, 30, []Gap{{5, 7}}, &HoleError{30, 30}},
		{21, 31, []Gap{{30, 30}}, &HoleError{31, 31}},
		{21, 30, []Gap{{30, 99}}, nil},
	} {
		execute(t, pool, `delete from gaps`)
		for _, g := range c.gaps {
			execute(t, pool, `insert into gaps (app_id, first_seq, last_seq) values ($1, $2, $3)`, app, g.First, g.Last)
		}
		_, err := span(t, l.Past(), presence.Cursor{Seq: c.behind}, c.last)
		var hole *HoleError
		errors.As(err, &hole)
		if diff := cmp.Diff(c.hole, hole); diff != "" || c.hole == nil && err != nil {
			t.Errorf("behind %d to %d with gaps %v: %v (-want +got):\n%s", c.behind, c.last, c.gaps, err, diff)
		}
	}
	got, err := l.Past().Gaps(t.Context())
	if want := []Gap{{30, 99}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("gaps = %v, %v; want %v", got, err, want)
	}
}

func TestRecordedSince(t *testing.T) {
	l, pool := open(t)
	recorded(t, pool, 1, 5, monday)
	recorded(t, pool, 6, 9, monday.AddDate(0, 0, 2))
	at := func(days, seq int) time.Time {
		return monday.AddDate(0, 0, days).Add(time.Duration(seq)*time.Second + time.Millisecond)
	}
	for _, c := range []struct {
		since time.Time
		seq   int64
		at    time.Time
	}{
		{monday.AddDate(-1, 0, 0), 1, at(0, 1)}, {at(0, 3), 3, at(0, 3)}, {at(0, 3).Add(time.Microsecond), 4, at(0, 4)},
		{at(1, 0), 6, at(2, 6)}, {at(2, 9), 9, at(2, 9)}, {at(2, 10), 0, time.Time{}},
	} {
		seq, recorded, found, err := l.Past().RecordedSince(t.Context(), c.since)
		if err != nil || seq != c.seq || !recorded.Equal(c.at) || found != (c.seq > 0) {
			t.Errorf("since %s: event %d at %s, %t, %v; want %d at %s", c.since, seq, recorded, found, err, c.seq, c.at)
		}
	}
}

func TestSnapshotsAreReadBack(t *testing.T) {
	l, _ := open(t)
	lease := win(t, l)
	minute := func(n int64) time.Time { return morning.Add(time.Duration(n) * time.Minute) }
	var want []presence.Snapshot
	for sweep := int64(1); sweep <= snapshotsRead+3; sweep++ {
		s := presence.Snapshot{
			Sweep: sweep * 2, Started: minute(sweep), Finished: minute(sweep).Add(time.Second), Online: []byte{byte(sweep)}, Known: []byte{1, 2},
			Missed: []uint32{uint32(sweep), 100, 101, 102}, Watched: 4, Seen: 3, Transitions: 2, Requests: 1,
		}
		if err := lease.SaveSnapshot(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		want = append(want, s)
	}
	p := l.Past()
	var got []presence.Snapshot
	for s, err := range p.Snapshots(t.Context(), 2) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	if diff := cmp.Diff(want[1:], got); diff != "" {
		t.Errorf("behind sweep 2 (-want +got):\n%s", diff)
	}
	for _, c := range []struct {
		at   time.Time
		want int64
	}{
		{minute(1), 0}, {want[0].Finished, 2}, {want[1].Finished.Add(-time.Microsecond), 2}, {minute(999), 2 * (snapshotsRead + 3)},
	} {
		if s, found, err := p.SnapshotAt(t.Context(), c.at); err != nil || s.Sweep != c.want || found != (c.want > 0) {
			t.Errorf("at %s: the snapshot of sweep %d, %t, %v; want %d", c.at, s.Sweep, found, err, c.want)
		}
	}
	for _, c := range []struct{ behind, want int64 }{{0, 2}, {2, 4}, {3, 4}, {2 * (snapshotsRead + 3), 0}} {
		if s, found, err := p.SnapshotBehind(t.Context(), c.behind); err != nil || s.Sweep != c.want || found != (c.want > 0) {
			t.Errorf("behind %d: the snapshot of sweep %d, %t, %v; want %d", c.behind, s.Sweep, found, err, c.want)
		}
	}
}

func TestExtent(t *testing.T) {
	l, pool := open(t)
	extent := func() Extent {
		t.Helper()
		e, err := l.Past().Extent(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if diff := cmp.Diff(Extent{}, extent()); diff != "" {
		t.Errorf("of no app (-want +got):\n%s", diff)
	}
	recorded(t, pool, 1, 5, monday)
	recorded(t, pool, 6, 9, monday.AddDate(0, 0, 2))
	want := Extent{Newest: 9, First: 1, FirstRecorded: monday.Add(1001 * time.Millisecond)}
	if diff := cmp.Diff(want, extent()); diff != "" {
		t.Errorf("without snapshots (-want +got):\n%s", diff)
	}
	for sweep := range 3 {
		execute(t, pool, `insert into snapshots (app_id, sweep, started, finished, seq, watched, seen, missed_count, transitions, requests, online, known, missed)
			values ($1, $2, $3, $3, 0, 0, 0, 0, 0, 0, '', '', '{}')`, app, 7+sweep, monday.Add(time.Duration(sweep)*time.Hour))
	}
	until := monday.AddDate(0, 0, 1)
	execute(t, pool, `drop table transitions_20260302`)
	execute(t, pool, `update apps set pruned_seq = 5, pruned_until = $1`, until)
	want = Extent{
		Newest: 9, PrunedSeq: 5, PrunedUntil: until, First: 6,
		FirstRecorded: monday.AddDate(0, 0, 2).Add(6001 * time.Millisecond),
		FirstSweep:    7, FirstFinished: monday, LastFinished: monday.Add(2 * time.Hour),
	}
	if diff := cmp.Diff(want, extent()); diff != "" {
		t.Errorf("of a pruned app (-want +got):\n%s", diff)
	}
}

func TestTold(t *testing.T) {
	l, pool := open(t)
	want := func(want int64) {
		t.Helper()
		if told, err := l.Past().Told(t.Context()); told != want || err != nil {
			t.Errorf("told up to %d, %v; want %d", told, err, want)
		}
	}
	want(0)
	recorded(t, pool, 1, 5, monday)
	execute(t, pool, `insert into relay_cursors (app_id, told_seq, stream_seq, stream_created, recorded_at) values (7, 9, 9, now(), now())`)
	want(0)
	if err := l.SaveCursor(t.Context(), presence.Cursor{Seq: 3, StreamCreated: monday, RecordedAt: monday}); err != nil {
		t.Fatal(err)
	}
	want(3)
}

func TestNames(t *testing.T) {
	l, pool := open(t)
	lease := win(t, l)
	enroll(t, lease, "a.b", "ü", "gone", "erased")
	execute(t, pool, `update user_states set watched = false where user_id = 'gone'`)
	execute(t, pool, `delete from user_states where user_id = 'erased'`)
	execute(t, pool, `insert into user_states (app_id, user_no, user_id) values (7, 2147483647, 'another app''s')`)
	p := l.Past()
	got := map[uint32]string{}
	if err := p.Names(t.Context(), func(no uint32, id []byte) { got[no] = string(id) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[uint32]string{1: "a.b", 2: "ü", 3: "gone"}, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	some, err := p.NamesOf(t.Context(), []uint32{3, 4, 1, 2147483647})
	if diff := cmp.Diff(map[uint32]string{1: "a.b", 3: "gone"}, some); diff != "" || err != nil {
		t.Errorf("some names, %v (-want +got):\n%s", err, diff)
	}
	numbers, err := p.NumbersOf(t.Context(), []string{"ü", "erased", "another app's"})
	if diff := cmp.Diff(map[string]uint32{"ü": 2}, numbers); diff != "" || err != nil {
		t.Errorf("numbers, %v (-want +got):\n%s", err, diff)
	}
}

// All reads of a view see one moment, and no partition goes away meanwhile.
func TestView(t *testing.T) {
	l, pool := open(t)
	recorded(t, pool, 1, 5, monday)
	err := l.View(t.Context(), func(p *Past) error {
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			return err
		}
		defer conn.Release()
		if _, err := conn.Exec(t.Context(), `set lock_timeout = '100ms'`); err != nil {
			return err
		}
		// Before the first read, too, whose snapshot would know nothing of it.
		if _, err := conn.Exec(t.Context(), `drop table transitions_20260302`); err == nil {
			return errors.New("a partition was dropped under the view")
		}
		if _, err := conn.Exec(t.Context(), `reset lock_timeout`); err != nil {
			return err
		}
		if e, err := p.Extent(t.Context()); err != nil || e.Newest != 5 {
			t.Errorf("newest = %d, %v; want 5", e.Newest, err)
		}
		recorded(t, pool, 6, 9, monday)
		execute(t, pool, `delete from transitions where seq < 3`)
		if seqs, err := span(t, p, presence.Cursor{}, 5); err != nil || len(seqs) != 5 {
			t.Errorf("%d events, %v; want the 5 of the beginning", len(seqs), err)
		}
		if e, err := p.Extent(t.Context()); err != nil || e.Newest != 5 {
			t.Errorf("newest = %d, %v; want 5 still", e.Newest, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("enough")
	if err := l.View(t.Context(), func(*Past) error { return stop }); err != stop { //nolint:errorlint // as it is
		t.Errorf("work's error comes back as %v", err)
	}
	execute(t, pool, `drop table transitions_20260302`)
}
