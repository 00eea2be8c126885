package diff

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/zim-presence/poller/presence"
)

// counted is the census of these ages, by sorting them.
func counted(ages []time.Duration, never int) Ages {
	want := Ages{Never: never}
	for _, age := range ages {
		group := 0
		for _, bound := range AgeBounds() {
			if age >= bound {
				group++
			}
		}
		want.Users[group]++
	}
	if slices.Sort(ages); len(ages) > 0 {
		at := func(q float64) time.Duration { return ages[int(math.Ceil(q*float64(len(ages))))-1] }
		want.Median, want.P99, want.Oldest = at(0.5), at(0.99), ages[len(ages)-1]
	}
	return want
}

// near has quantiles that are as much too high as they may be count as equal.
var near = cmp.Comparer(func(a, b time.Duration) bool {
	low, high := min(a, b), max(a, b)
	return high <= low+low/fine
})

// count holds the census to the oracle's people.
func (w *world) count() {
	want, now := Census{At: w.now}, w.now
	var ages []time.Duration
	never := 0
	for _, p := range w.people {
		if !p.watched {
			continue
		}
		switch p.told {
		case presence.Online:
			want.Online++
		case presence.Offline:
			want.Offline++
		case presence.Unknown:
			want.Unknown++
		}
		if p.newest.IsZero() {
			never++
		} else {
			ages = append(ages, max(0, now.Sub(p.newest)))
		}
	}
	want.Ages = counted(ages, never)
	if diff := cmp.Diff(want, w.memory.Census(now), near); diff != "" {
		w.Fatalf("census (-want +got):\n%s", diff)
	}
}

// Any ages are counted as whoever sorts them would.
func TestCensusAgainstSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bounds := AgeBounds()
		age := rapid.OneOf(
			rapid.Int64Range(0, 1000), rapid.Int64Range(0, int64(48*time.Hour/time.Microsecond)),
			rapid.Map(rapid.IntRange(0, len(bounds)-1), func(i int) int64 { return bounds[i].Microseconds() }),
			rapid.Map(rapid.IntRange(0, len(bounds)-1), func(i int) int64 { return bounds[i].Microseconds() - 1 }),
		)
		drawn := rapid.SliceOfN(age, 0, 300).Draw(t, "ages")
		never := rapid.IntRange(0, 3).Draw(t, "never")
		m, no := New(0), uint32(0)
		add := func(seen time.Time) {
			no++
			m.Add(presence.State{User: user(no), Watched: true, Status: presence.Online}, seen)
		}
		var ages []time.Duration
		for _, us := range drawn {
			ages = append(ages, time.Duration(us)*time.Microsecond)
			add(start.Add(-ages[len(ages)-1]))
		}
		for range never {
			add(time.Time{})
		}
		want := Census{At: start, Online: len(drawn) + never, Ages: counted(ages, never)}
		got := m.Census(start)
		if diff := cmp.Diff(want, got, near); diff != "" {
			t.Fatalf("census (-want +got):\n%s", diff)
		}
		if got.Ages.Median < want.Ages.Median || got.Ages.P99 < want.Ages.P99 || got.Ages.Oldest != want.Ages.Oldest {
			t.Fatalf("got %+v, want not less than %+v", got.Ages, want.Ages)
		}
	})
}

// An answer of the future is as fresh as can be, and one of the beginning of time old.
func TestCensusOfOddTimes(t *testing.T) {
	m := New(0)
	m.Add(presence.State{User: user(1), Watched: true}, start.Add(time.Hour))
	m.Add(presence.State{User: user(2), Watched: true}, time.Unix(0, 1000))
	got := m.Census(start)
	want := Census{At: start, Unknown: 2, Ages: Ages{Users: [12]int{0: 1, 11: 1}, P99: start.Sub(time.Unix(0, 1000)), Oldest: start.Sub(time.Unix(0, 1000))}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("census (-want +got):\n%s", diff)
	}
}

// Each part begins where the one before ends.
func TestPartsOfAges(t *testing.T) {
	for part := range 58 * fine {
		end := endOf(part)
		if partOf(end) != part || end < math.MaxInt64 && partOf(end+1) != part+1 {
			t.Fatalf("part %d ends at %d, which is in part %d, and the next in part %d", part, end, partOf(end), partOf(end+1))
		}
	}
}

func BenchmarkCensus(b *testing.B) {
	const users = 1_000_000
	m := New(0)
	for no := range uint32(users) {
		m.Add(presence.State{User: user(no), Watched: true, Status: presence.Status(no % 3)}, start.Add(-time.Duration(no%70_000)*time.Millisecond))
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Census(start)
	}
}
