package page

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// Whatever is added when, a history has the newest sample of each step of the last hours, and gaps between them.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := NewHistories()
		want := map[int64]float32{}
		second := int64(Step / time.Second)
		newest := int64(0)
		n := begin.Unix() / second
		for i := range rapid.IntRange(1, 20).Draw(t, "samples") {
			n += rapid.SampledFrom([]int64{-3, -1, 0, 1, 1, 1, 2, 7, points / 3, points - 1, points, points + 1, 5 * points}).Draw(t, "later")
			s := Nothing()
			s.Online = float32(i)
			h.Add(5, time.Unix(n*second+rapid.Int64Range(0, second-1).Draw(t, "within"), 0), s)
			if newest == 0 || n >= newest {
				newest = max(newest, n)
				want[n] = float32(i)
			}
		}
		got := h.History(5, time.Time{}, time.Unix(newest*second, 0))
		first := newest
		for at := range want {
			if at > newest-points {
				first = min(first, at)
			}
		}
		if len(got.Times) < int(newest-first)+1 || len(got.Times) > int(points) || got.Times[len(got.Times)-1] != newest*second {
			t.Fatalf("%d times from %d to %d, want from %d to %d", len(got.Times), got.Times[0], got.Times[len(got.Times)-1], first*second, newest*second)
		}
		for i, at := range got.Times {
			value, known := want[at/second]
			if !known {
				value = Gap()
			}
			if at != got.Times[0]+int64(i)*second || !cmp.Equal(got.Online[i], value, cmpopts.EquateNaNs()) || !cmp.Equal(got.Lag[i], Gap(), cmpopts.EquateNaNs()) {
				t.Fatalf("at %d: %v, want %v", at, got.Online[i], value)
			}
		}
	})
}

// What is read behind a time is what came later; what nobody has sampled since is a gap.
func TestHistorySince(t *testing.T) {
	h := NewHistories()
	at := begin.Truncate(Step)
	for i := range 10 {
		s := Nothing()
		s.Lag = float32(i)
		h.Add(1, at.Add(time.Duration(i)*Step), s)
	}
	now := at.Add(12*Step + 3*time.Second)
	for _, c := range []struct {
		since time.Time
		want  Column
	}{
		{at.Add(7 * Step), Column{8, 9, Gap(), Gap()}},
		{at.Add(7*Step + time.Second), Column{8, 9, Gap(), Gap()}},
		{at.Add(9 * Step), Column{Gap(), Gap()}},
		{now, Column{}},
		{now.Add(time.Hour), Column{}},
		{time.Time{}, Column{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, Gap(), Gap()}},
	} {
		got := h.History(1, c.since, now)
		if diff := cmp.Diff(c.want, got.Lag, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("behind %s (-want +got):\n%s", c.since, diff)
		}
	}
	if got := h.History(2, time.Time{}, now); len(got.Times) != 0 || got.Online == nil {
		t.Errorf("of an app that nobody knows: %+v", got)
	}
	h.Keep(func(app uint32) bool { return app != 1 })
	if got := h.History(1, time.Time{}, now); len(got.Times) != 0 {
		t.Errorf("of an app that is gone: %+v", got)
	}
}

// What was before is filled in where nothing is known, and takes the place of nothing.
func TestSeed(t *testing.T) {
	online := func(n float32) Sample {
		s := Nothing()
		s.Online, s.Offline, s.Unknown, s.Coverage = n, 2*n, 0, 1
		return s
	}
	h := NewHistories()
	at := begin.Truncate(Step)
	own := online(1)
	own.Lag = 7
	h.Add(1, at.Add(5*Step), own)
	blank := Nothing()
	blank.Lag = 8
	h.Add(1, at.Add(7*Step), blank)
	h.Seed(1, map[time.Time]Sample{
		at.Add(2 * Step): online(102), at.Add(3 * Step): online(103), at.Add(5 * Step): online(105), at.Add(6 * Step): online(106), at.Add(7 * Step): online(107),
		at.Add(-2 * Span): online(0),
	})
	got := h.History(1, time.Time{}, at.Add(7*Step))
	if diff := cmp.Diff(Column{102, 103, Gap(), 1, 106, 107}, got.Online[len(got.Online)-6:], cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("online (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Column{Gap(), Gap(), Gap(), 7, Gap(), 8}, got.Lag[len(got.Lag)-6:], cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("lag (-want +got):\n%s", diff)
	}
	h.Add(1, at.Add(8*Step), online(9))
	if got := h.History(1, at.Add(6*Step), at.Add(8*Step)); !cmp.Equal(got.Online, Column{107, 9}) {
		t.Errorf("afterwards: %v", got.Online)
	}
	h.Seed(2, map[time.Time]Sample{at: online(3)})
	if got := h.History(2, time.Time{}, at); !cmp.Equal(got.Online, Column{3}) {
		t.Errorf("of an app without a sample: %v", got.Online)
	}
	h.Seed(3, nil)
	if got := h.History(3, time.Time{}, at); len(got.Times) != 0 {
		t.Errorf("of nothing: %v", got.Times)
	}
}

// BenchmarkHistory is one answer about six hours.
func BenchmarkHistory(b *testing.B) {
	h := NewHistories()
	for i := range points {
		h.Add(1, begin.Add(time.Duration(i)*Step), Sample{Online: float32(i), Coverage: 0.98765})
	}
	b.ReportAllocs()
	for b.Loop() {
		h.History(1, time.Time{}, begin.Add(Span))
	}
}
