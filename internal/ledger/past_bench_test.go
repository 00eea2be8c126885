package ledger

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/zim-presence/poller/presence"
)

const benchUsers = 1_000_000

// BenchmarkSaveSnapshot prints what it takes to save a snapshot of 1,000,000
// users, 15 % of them online at random, 1 % missed in batches, on a real
// Postgres, and what its row takes there. The bitmaps are made before:
// BenchmarkBitmaps of internal/diff has that.
func BenchmarkSaveSnapshot(b *testing.B) {
	l, pool := open(b)
	lease := win(b, l)
	dice := rand.New(rand.NewPCG(1, 2))
	online, known := roaring.New(), roaring.New()
	known.AddRange(1, benchUsers+1)
	for no := uint32(1); no <= benchUsers; no++ {
		if dice.IntN(100) < 15 {
			online.Add(no)
		}
	}
	s := presence.Snapshot{Started: morning, Finished: morning, Watched: benchUsers, Seen: benchUsers}
	for no := uint32(1); no <= benchUsers; no++ {
		if no/100%100 == 7 {
			s.Missed = append(s.Missed, no)
		}
	}
	for into, set := range map[*[]byte]*roaring.Bitmap{&s.Online: online, &s.Known: known} {
		set.RunOptimize()
		var err error
		if *into, err = set.ToBytes(); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		s.Sweep++
		if err := lease.SaveSnapshot(b.Context(), s); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms(target<50)")
	row := value[float64](b, pool, `select avg(pg_column_size(s.*)) from snapshots s`)
	b.ReportMetric(row/1000, "kB(target<200)")
	b.ReportMetric(value[float64](b, pool, `select pg_total_relation_size('snapshots')::float8 / count(*) from snapshots`)/1000, "kB-on-disk")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkNames prints how long the names of 1,000,000 users take.
func BenchmarkNames(b *testing.B) {
	l, pool := open(b)
	execute(b, pool, `insert into user_states (app_id, user_no, user_id, status, since, observed_at, asked_at, last_seq)
		select $1, n, 'user-' || lpad(n::text, 15, '0'), 'offline', now(), now(), now(), n from generate_series(1, $2::int) n`, app, benchUsers)
	execute(b, pool, `vacuum analyze user_states`)
	for b.Loop() {
		n := 0
		if err := l.Past().Names(b.Context(), func(uint32, []byte) { n++ }); err != nil || n != benchUsers {
			b.Fatalf("%d names, %v", n, err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s(target<1)")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkEvents prints how many events a second are read from the ledger.
func BenchmarkEvents(b *testing.B) {
	const events = 500_000
	l, pool := open(b)
	day := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for i := range 90 {
		recorded(b, pool, int64(i)+1, int64(i)+1, day.AddDate(0, 0, i)) // as many partitions as retention keeps
	}
	last := day.AddDate(0, 0, 90)
	execute(b, pool, `create table transitions_`+last.Format("20060102")+` partition of transitions for values from ('`+
		last.Format(time.RFC3339)+`') to ('`+last.AddDate(0, 0, 9).Format(time.RFC3339)+`')`)
	recorded(b, pool, 91, events, last)
	execute(b, pool, `vacuum analyze transitions`)
	for b.Loop() {
		n := 0
		err := l.Past().Events(b.Context(), presence.Cursor{}, events, func(page []presence.Event) error {
			n += len(page)
			return nil
		})
		if err != nil || n != events {
			b.Fatalf("%d events, %v", n, err)
		}
	}
	b.ReportMetric(events*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(0, "ns/op")
}
