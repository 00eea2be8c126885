package ledger

import (
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// portable is how a bitmap is stored, with runs or without.
func portable(t testing.TB, b *roaring.Bitmap, runs bool) []byte {
	t.Helper()
	if runs {
		b.RunOptimize()
	}
	text, err := b.ToBytes()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func numbersUpTo(n uint64) *roaring.Bitmap {
	b := roaring.New()
	b.AddRange(1, n+1)
	return b
}

// Of each step the newest snapshot counts, and none outside of the time.
func TestOnlineOver(t *testing.T) {
	l, pool := open(t)
	save := func(of uint32, sweep int64, finished time.Time, online, known uint64, runs bool) {
		execute(t, pool, `
			insert into snapshots (app_id, sweep, started, finished, seq, watched, seen, missed_count, transitions, requests, online, known, missed)
			values ($1, $2, $3::timestamptz - interval '1 second', $3, 0, 250000, 200000, 50000, 0, 0, $4, $5, '{}')`,
			of, sweep, finished, portable(t, numbersUpTo(online), runs), portable(t, numbersUpTo(known), runs))
	}
	save(app, 1, monday.Add(-time.Minute), 1, 2, false)
	save(app, 2, monday, 70_000, 200_000, false)
	save(app, 3, monday.Add(time.Second), 3, 4, true)
	save(app, 5, monday.Add(14*time.Second), 150_000, 240_000, true)
	save(app, 6, monday.Add(15*time.Second+time.Millisecond), 0, 0, false)
	save(app, 7, monday.Add(31*time.Second), 7, 8, false)
	save(app+1, 4, monday.Add(2*time.Second), 9, 9, false)
	step := 15 * time.Second
	at := func(n int) time.Time { return monday.Add(time.Duration(n) * step) }
	count := func(n, online, known int) OnlineAt {
		return OnlineAt{At: at(n), Watched: 250_000, Seen: 200_000, Online: online, Offline: known - online, Unknown: 250_000 - known}
	}
	for _, c := range []struct {
		from, to time.Time
		want     []OnlineAt
	}{
		{monday, monday.Add(time.Hour), []OnlineAt{count(0, 70_000, 200_000), count(1, 150_000, 240_000), count(2, 0, 0), count(3, 7, 8)}},
		{monday.Add(time.Second), at(2), []OnlineAt{count(1, 150_000, 240_000), count(2, 0, 0)}},
		{monday.Add(time.Minute), monday.Add(time.Hour), nil},
	} {
		got, err := l.Past().OnlineOver(t.Context(), c.from, c.to, step)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("from %s to %s (-want +got):\n%s", c.from, c.to, diff)
		}
	}
	if got, err := New(pool, app+9, l.log).Past().OnlineOver(t.Context(), monday, monday.Add(time.Hour), step); err != nil || got != nil {
		t.Errorf("of an app without snapshots: %v, %v", got, err)
	}
}

// Six hours of a million users take a small part of what a statement may.
func TestOnlineOverIsCheap(t *testing.T) {
	l, pool := open(t)
	b := roaring.New()
	for n := uint32(1); n < 1_000_000; n += 7 {
		b.Add(n)
	}
	online, known := portable(t, b, false), portable(t, numbersUpTo(1_000_000), false)
	execute(t, pool, `
		insert into snapshots (app_id, sweep, started, finished, seq, watched, seen, missed_count, transitions, requests, online, known, missed)
		select $1, n, $2::timestamptz + n * interval '1 minute', $2::timestamptz + n * interval '1 minute', 0, 1000000, 1000000, 0, 0, 0, $3, $4, '{}'
		  from generate_series(1, 360) n`, app, monday, online, known)
	began := time.Now()
	got, err := l.Past().OnlineOver(t.Context(), monday, monday.Add(24*time.Hour), 15*time.Second)
	t.Logf("%d snapshots with bitmaps of %d and %d bytes in %s", len(got), len(online), len(known), time.Since(began))
	if err != nil || len(got) != 360 || got[200].Online != int(b.GetCardinality()) || got[200].Offline != 1_000_000-int(b.GetCardinality()) {
		t.Errorf("%d steps, %v", len(got), err)
	}
}

// The beginning of a bitmap tells how many members it has; what is none tells nothing.
func TestCardinality(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := roaring.New()
		for range rapid.IntRange(0, 40).Draw(t, "ranges") {
			first := rapid.Uint64Range(1, 3_000_000).Draw(t, "first")
			b.AddRange(first, first+rapid.Uint64Range(1, 100_000).Draw(t, "many"))
		}
		for _, runs := range []bool{false, true} {
			if runs {
				b.RunOptimize()
			}
			text, err := b.ToBytes()
			if err != nil {
				t.Fatal(err)
			}
			if n, ok := cardinality(text[:min(len(text), headOfBitmap)]); !ok || n != int(b.GetCardinality()) {
				t.Fatalf("%d members, %t, want %d, with runs: %t", n, ok, b.GetCardinality(), runs)
			}
			if n, ok := cardinality(text[:min(9, len(text))]); ok && n != int(b.GetCardinality()) {
				t.Fatalf("of a beginning too short: %d members", n)
			}
		}
		cardinality(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")) // whatever it is
	})
	if n, ok := cardinality(nil); n != 0 || !ok {
		t.Errorf("of nothing: %d, %t", n, ok)
	}
}
