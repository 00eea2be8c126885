package ledger

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// taken is a snapshot: when it was finished, and the newest event then.
type taken struct {
	At  time.Time
	Seq int64
}

// snapshots are those of an app that are kept, in order.
func (p *past) snapshots(app uint32) []taken {
	p.t.Helper()
	rows, err := p.pool.Query(p.t.Context(), `select finished, seq from snapshots where app_id = $1 order by sweep`, int64(app))
	if err != nil {
		p.t.Fatal(err)
	}
	all, err := collect(rows)
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

func collect(rows pgx.Rows) ([]taken, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s taken, err error) {
		err = row.Scan(&s.At, &s.Seq)
		s.At = s.At.UTC()
		return s, err
	})
}

// thinned is what has to be left of snapshots, reckoned from the rules: each that
// is young, the last of each hour, the last of each day, the newest 100, the
// first one that the ledger, whose rows begin behind pruned, goes on from. Whole
// hours and days alone count as old.
func thinned(all []taken, pruned int64, now time.Time, keep Retention) (left []taken) {
	first := slices.IndexFunc(all, func(s taken) bool { return s.Seq >= pruned })
	for i, s := range all {
		hour, day := s.At.Truncate(time.Hour), s.At.Truncate(aDay)
		lastOf := func(period time.Time, length time.Duration) bool {
			return i+1 == len(all) || !all[i+1].At.Before(period.Add(length))
		}
		old := func(period time.Time, length, age time.Duration) bool {
			return !period.Add(length).After(now.Add(-age))
		}
		keeps := true
		switch {
		case i == first || i >= len(all)-100:
		case old(day, aDay, keep.Snapshots):
			keeps = false
		case old(day, aDay, keep.Hourly):
			keeps = lastOf(day, aDay)
		case old(hour, time.Hour, keep.EverySweep):
			keeps = lastOf(hour, time.Hour)
		}
		if keeps {
			left = append(left, s)
		}
	}
	return left
}

// Every 25 minutes for twelve days: what is left is what the rules say, and a
// second time nothing changes.
func TestThin(t *testing.T) {
	l, p := openPast(t, 0)
	now := value[time.Time](t, p.pool, `select clock_timestamp()`).UTC()
	var all []taken
	var times []time.Time
	for at := p.day(12).Add(7 * time.Minute); at.Before(now); at = at.Add(25 * time.Minute) {
		times = append(times, at)
		all = append(all, taken{at, int64(len(times))})
	}
	execute(t, p.pool, `insert into apps (app_id) values ($1), (7)`, app)
	for _, a := range []uint32{app, 7} {
		execute(t, p.pool, `
			insert into snapshots (app_id, sweep, started, finished, seq, watched, seen, missed_count, transitions, requests, online, known, missed)
			select $1, n, at - interval '1 minute', at, n, 0, 0, 0, 0, 0, '\x01', '\x02', '{}'
			  from unnest($2::timestamptz[]) with ordinality o (at, n)`, int64(a), times)
	}
	keep := Retention{Transitions: 3650 * aDay, EverySweep: 3 * aDay, Hourly: 6 * aDay, Snapshots: 9 * aDay}
	execute(t, p.pool, `insert into replays (app_id, name, asked, first_seq, last_seq, told_seq) values (7, 'slow', '{}', 1, 9, 3)`)
	dry := prune(t, l, keep, true)
	if got := p.snapshots(app); len(got) != len(all) {
		t.Fatalf("a dry run left %d snapshots of %d", len(got), len(all))
	}
	done := prune(t, l, keep, false)
	want := thinned(all, 0, now, keep)
	if diff := cmp.Diff(want, p.snapshots(app)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	for _, report := range []Pruned{dry, done} {
		var kept, dropped int
		for _, c := range report.Snapshots {
			switch {
			case c.App == app:
				kept, dropped = kept+int(c.Kept), dropped+int(c.Dropped)
				if c.Held != "" || c.Dropped > 0 && c.Bytes < 2*c.Dropped {
					t.Errorf("%+v", c)
				}
			case c.Dropped != 0, c.Held != "" && c.Held != "the replay slow is in progress", c.Class == "too old" && c.Held == "":
				t.Errorf("of the app that a replay is of: %+v", c)
			}
		}
		if kept != len(want) || dropped != len(all)-len(want) {
			t.Errorf("the report says %d kept and %d dropped, want %d and %d: %+v", kept, dropped, len(want), len(all)-len(want), report.Snapshots)
		}
	}
	if got := len(p.snapshots(7)); got != len(all) {
		t.Errorf("%d snapshots of the app that a replay is of, want all %d", got, len(all))
	}
	prune(t, l, keep, false)
	if got := p.snapshots(app); !slices.Equal(got, want) {
		t.Errorf("thinned again: %d are left, want %d", len(got), len(want))
	}
	execute(t, p.pool, `update replays set moved_at = now() - interval '7 days'`)
	prune(t, l, keep, false)
	if got := p.snapshots(7); !slices.Equal(got, want) {
		t.Errorf("when the replay was left: %d, want %d", len(got), len(want))
	}
}

// The snapshot at the ledger's beginning is kept, however old: without it nobody
// knew the state there.
func TestThinKeepsTheBeginning(t *testing.T) {
	l, p := openPast(t, 0)
	execute(t, p.pool, `insert into apps (app_id, pruned_seq) values ($1, 8)`, app)
	execute(t, p.pool, `
		insert into snapshots (app_id, sweep, started, finished, seq, watched, seen, missed_count, transitions, requests, online, known, missed)
		select $1, n, clock_timestamp() - interval '30 days', clock_timestamp() - interval '30 days' + n * interval '1 second',
		       n / 2, 0, 0, 0, 0, 0, '\x01', '\x02', '{}'
		  from generate_series(1, 120) n`, app)
	prune(t, l, Retention{Transitions: 3650 * aDay, EverySweep: aDay, Hourly: aDay, Snapshots: aDay}, false)
	// Event 8 was dropped: sweeps 16 and 17 ended with it. The newest hundred begin with sweep 21.
	got := value[[]int64](t, p.pool, `select array_agg(sweep order by sweep) from snapshots where sweep < 22`)
	if want := []int64{16, 21}; !slices.Equal(got, want) {
		t.Errorf("sweeps before 22: %v, want %v", got, want)
	}
	if n := value[int](t, p.pool, `select count(*) from snapshots`); n != 101 {
		t.Errorf("%d snapshots, want 101", n)
	}
}

// The first of many turns may have a year to do away with: it goes in parts.
func TestThinGoesInParts(t *testing.T) {
	l, p := openPast(t, 0)
	execute(t, p.pool, `insert into apps (app_id) values ($1)`, app)
	execute(t, p.pool, `
		insert into snapshots (app_id, sweep, started, finished, seq, watched, seen, missed_count, transitions, requests, online, known, missed)
		select $1, n, now(), date_trunc('day', now(), 'UTC') - interval '30 days' + n * interval '1 second', 0, 0, 0, 0, 0, 0, '\x01', '\x02', '{}'
		  from generate_series(1, 1301) n`, app)
	keep := Retention{Transitions: 3650 * aDay, EverySweep: aDay, Hourly: aDay, Snapshots: aDay}
	some, err := l.thinSome(t.Context(), app, keep, false)
	if err != nil {
		t.Fatal(err)
	}
	if left := value[int](t, p.pool, `select count(*) from snapshots`); left != 801 {
		t.Errorf("one part left %d snapshots of 1301, want 801: %+v", left, some)
	}
	done := prune(t, l, keep, false)
	want := []Thinned{{App: app, Class: "needed", Kept: 101}, {App: app, Class: "too old", Dropped: 700, Bytes: done.Snapshots[1].Bytes}}
	if diff := cmp.Diff(want, done.Snapshots); diff != "" {
		t.Errorf("the rest (-want +got):\n%s", diff)
	}
}
