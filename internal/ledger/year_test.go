package ledger

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/go-cmp/cmp"
)

// year plays many days one after the other, all of them in the past, and prunes
// at the end of each as if that were now: the functions of the database take ages,
// so what lies between that end and now is added to each.
type year struct {
	*past
	ledger *Ledger
	keep   Retention
	ago    int                // the day that is played, in days before today
	saved  map[uint32][]taken // its snapshots
	lag    time.Duration      // between its end and now
	report Pruned
}

func (y *year) begin(ago int) {
	y.t.Helper()
	y.ago, y.saved = ago, map[uint32][]taken{}
	y.partition(ago)
}

// sweeps saves so many snapshots of an app, evenly over the day, and in front of
// each a share of the day's events.
func (y *year) sweeps(app uint32, sweeps, events int, online, known []byte) {
	y.t.Helper()
	day := y.day(y.ago)
	execute(y.t, y.pool, `insert into apps (app_id) values ($1) on conflict do nothing`, int64(app))
	execute(y.t, y.pool, `
		insert into transitions (app_id, seq, user_no, user_id, kind, from_status, to_status, detail, after, observed_at, prev_seq,
		                         sweep, log, encoding, recorded_at)
		select $1, $2 + n, user_no, 'user-' || lpad(user_no::text, 7, '0'), 'offline', 'online', 'offline', 'timeout',
		       at - interval '502 seconds', at, greatest($2 + n - 100000, 0), 1 + n / 100, '0123abcd', 1, at
		  from generate_series(1, $3) n,
		       lateral (select 1 + (n * 7919::bigint) % 1000000, $4::timestamptz + interval '1 day' * ((n - 0.5) / $3)) u (user_no, at)`,
		int64(app), y.seqs[app], events, day)
	rows, err := y.pool.Query(y.t.Context(), `
		insert into snapshots (app_id, sweep, started, finished, seq, watched, seen, missed_count, transitions, requests, online, known, missed)
		select $1, s.newest + n, at - interval '8 minutes', at, $2 + $6::bigint * n / $3, 1000000, 1000000, 0, $6 / $3, 10000, $4, $5, '{}'
		  from (select coalesce(max(sweep), 0) as newest from snapshots where app_id = $1) s,
		       generate_series(1, $3) n,
		       lateral (select $7::timestamptz + interval '1 day' * ((n - 0.01) / $3)) f (at)
		returning finished, seq`,
		int64(app), y.seqs[app], sweeps, online, known, events, day)
	if err == nil {
		y.saved[app], err = collect(rows)
	}
	if err != nil {
		y.t.Fatal(err)
	}
	y.seqs[app] += int64(events)
	execute(y.t, y.pool, `update apps set last_seq = $2 where app_id = $1`, int64(app), y.seqs[app])
}

// end prunes, at midnight.
func (y *year) end() {
	y.t.Helper()
	y.lag = time.Since(y.day(y.ago - 1))
	y.report = prune(y.t, y.ledger, Retention{
		Transitions: y.keep.Transitions + y.lag, EverySweep: y.keep.EverySweep + y.lag, Hourly: y.keep.Hourly + y.lag, Snapshots: y.keep.Snapshots + y.lag,
	}, false)
}

// ledgerOf is what is left of an app.
type ledgerOf struct {
	Pruned, First, Last, Rows int64
	Until, Recorded           time.Time // pruned_until, and recorded_at of the first row
}

func (y *year) look(app uint32) (l ledgerOf) {
	y.t.Helper()
	err := y.pool.QueryRow(y.t.Context(), `
		select a.pruned_seq, coalesce(t.first, 0), coalesce(t.last, 0), coalesce(t.n, 0),
		       case when a.pruned_until = '-infinity' then '0001-01-01 00:00+00' else a.pruned_until end, coalesce(t.at, 'epoch')
		  from apps a,
		       (select min(seq) as first, max(seq) as last, count(*) as n, min(recorded_at) as at from transitions where app_id = $1) t
		 where a.app_id = $1`, int64(app)).Scan(&l.Pruned, &l.First, &l.Last, &l.Rows, &l.Until, &l.Recorded)
	if err != nil {
		y.t.Fatal(err)
	}
	return l
}

// Four hundred days, in small: two apps, one of which cannot tell for twenty days;
// a replay that takes thirty, and another that is left. Each midnight what must be
// there is there, and what may go is gone.
func TestYear(t *testing.T) {
	t.Parallel()
	const (
		days, perDay, sweeps = 400, 20, 30
		slow                 = 7 // the app that cannot tell from day 150 to 170
	)
	l, p := openPast(t, 0)
	y := &year{past: p, ledger: l, keep: Retention{Transitions: 90 * aDay, EverySweep: 7 * aDay, Hourly: 30 * aDay, Snapshots: 200 * aDay}}
	left := map[uint32][]taken{}
	told := map[uint32]int64{}
	replayed, replaying := int64(0), false
	for n := 1; n <= days; n++ {
		y.begin(days - n + 1)
		for _, a := range []uint32{app, slow} {
			y.sweeps(a, sweeps, perDay, []byte{1}, []byte{2})
			if a != slow || n < 150 || n >= 170 {
				y.tell(a)
				told[a] = y.seqs[a]
			}
		}
		switch n {
		case 220: // of the oldest five days that there are
			first := y.look(app).First
			replayed, replaying = first-1, true
			execute(t, p.pool, `insert into replays (app_id, name, asked, first_seq, last_seq, told_seq) values ($1, 'slow', '{}', $2, $3, $4)`, app, first, first+99, first-1)
			execute(t, p.pool, `insert into replays (app_id, name, asked, first_seq, last_seq, told_seq, moved_at)
				values ($1, 'left', '{}', 1, 1000000, 0, now() - interval '8 days')`, slow)
		case 250:
			replaying = false
			execute(t, p.pool, `update replays set ended_at = now() where name = 'slow'`)
		}
		if replaying {
			replayed += 3
			execute(t, p.pool, `update replays set told_seq = $1, moved_at = now() where name = 'slow'`, replayed)
		}
		y.end()
		for _, a := range []uint32{app, slow} {
			was := y.look(a)
			held := a == app && replaying
			left[a] = append(left[a], y.saved[a]...)
			if !held {
				left[a] = thinned(left[a], was.Pruned, p.day(y.ago-1), y.keep)
			}
			y.holds(a, n, was, told[a], left[a])
			if held && was.First > replayed+1 {
				t.Fatalf("day %d: the replay has come to event %d, the ledger begins with %d", n, replayed, was.First)
			}
			// A replay of one app holds up the days of all.
			if !replaying && n > 180 && n < 220 || n > 260 {
				if most := int64(90 * perDay); was.Rows > most {
					t.Fatalf("day %d, app %d: %d events, want at most %d", n, a, was.Rows, most)
				}
				if most := 7*sweeps + 24*24 + 171 + 2; len(left[a]) > most {
					t.Fatalf("day %d, app %d: %d snapshots, want at most %d", n, a, len(left[a]), most)
				}
			}
		}
	}
}

// holds checks what has to be true each night.
func (y *year) holds(app uint32, n int, was ledgerOf, told int64, want []taken) {
	y.t.Helper()
	switch {
	case was.First != was.Pruned+1 || was.Last != y.seqs[app] || was.Rows != was.Last-was.First+1:
		y.t.Fatalf("day %d, app %d: the ledger has %d events, %d to %d; pruned up to %d, newest %d", n, app, was.Rows, was.First, was.Last, was.Pruned, y.seqs[app])
	case was.Pruned > told:
		y.t.Fatalf("day %d, app %d: pruned up to event %d, told up to %d", n, app, was.Pruned, told)
	case was.Recorded.Before(was.Until):
		y.t.Fatalf("day %d, app %d: an event was recorded at %s, pruned until %s", n, app, was.Recorded, was.Until)
	}
	if n%5 != 0 { // reading them all is most of the work
		return
	}
	got := y.snapshots(app)
	if !slices.Equal(got, want) {
		y.t.Fatalf("day %d, app %d: snapshots (-want +got):\n%s", n, app, cmp.Diff(want, got))
	}
	// The state at the beginning is known: that of a snapshot which the rows go back from without a gap.
	if !slices.ContainsFunc(got, func(s taken) bool { return s.Seq >= was.Pruned && s.At.Sub(was.Recorded) < aDay }) {
		y.t.Fatalf("day %d, app %d: no snapshot within a day of the ledger's beginning, event %d of %s", n, app, was.First, was.Recorded)
	}
}

// BenchmarkYear plays a year of a million users, 15 % of them online, polled
// without a pause at 20 requests a second: 172 sweeps a day, every snapshot
// written in full. Of the four million events of a day one in 400 is written, and
// the rest reckoned from the bytes of a row. It prints what is on disk, day by day.
func BenchmarkYear(b *testing.B) {
	const days, sweeps, events, scale = 365, 172, 10_000, 400
	online, known := roaring.New(), roaring.New()
	for range 150_000 {
		online.Add(1 + rand.Uint32N(1_000_000))
	}
	known.AddRange(1, 1_000_001)
	known.RunOptimize()
	onlineBytes, err := online.ToBytes()
	if err != nil {
		b.Fatal(err)
	}
	knownBytes, err := known.ToBytes()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		l, p := openPast(b, 0)
		y := &year{past: p, ledger: l, keep: Retention{Transitions: 90 * aDay, EverySweep: 7 * aDay, Hourly: 90 * aDay, Snapshots: 400 * aDay}}
		var ledger, snapshots []float64
		var slowest, pruning time.Duration
		for n := 1; n <= days; n++ {
			y.begin(days - n + 1)
			y.sweeps(app, sweeps, events, onlineBytes, knownBytes)
			y.tell(app)
			begun := time.Now()
			y.end()
			took := time.Since(begun)
			slowest, pruning = max(slowest, took), pruning+took
			execute(b, p.pool, `vacuum snapshots`) // as autovacuum would
			ledger = append(ledger, scale*mb(b, p, `
				select sum(pg_total_relation_size(inhrelid))
				  from pg_inherits
				 where inhparent = 'transitions'::regclass and pg_relation_size(inhrelid) > 0`))
			snapshots = append(snapshots, mb(b, p, `select pg_total_relation_size('snapshots')`))
			if slices.Contains([]int{1, 7, 30, 60, 90, 180, days}, n) {
				b.Logf("day %3d: transitions %8.0f MB (reckoned), snapshots %6.1f MB in %d rows", n, ledger[n-1], snapshots[n-1],
					value[int](b, p.pool, `select count(*) from snapshots`))
			}
		}
		row := value[float64](b, p.pool, `select (sum(pg_total_relation_size(inhrelid)) / (select count(*) from transitions))::float8 from pg_inherits where inhparent = 'transitions'::regclass`)
		b.Logf("a row of transitions %.0f bytes, a snapshot %.0f; pruning a day took %s, at most %s", row,
			float64(len(onlineBytes)+len(knownBytes)), (pruning / days).Round(time.Millisecond), slowest.Round(time.Millisecond))
		b.ReportMetric(ledger[days-1], "MB-of-transitions")
		b.ReportMetric(snapshots[days-1], "MB-of-snapshots")
		if ledger[days-1] > 1.02*ledger[100] {
			b.Errorf("transitions still grow: %.0f MB on day 101, %.0f MB on day %d", ledger[100], ledger[days-1], days)
		}
		if most := 1.25 * float64(value[int](b, p.pool, `select count(*) from snapshots`)*(len(onlineBytes)+len(knownBytes))) / 1e6; snapshots[days-1] > most {
			b.Errorf("snapshots take %.0f MB, want at most %.0f: a quarter more than is in them", snapshots[days-1], most)
		}
	}
}

func mb(b *testing.B, p *past, sql string) float64 {
	b.Helper()
	return value[float64](b, p.pool, `select (`+sql+`)::float8 / 1e6`)
}
