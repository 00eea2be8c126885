package plan

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What is found by leaps is what is found step by step.
func TestStarts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gaps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.SampledFrom([]int{1, 1, 1, 2, 7, 100}).Draw(t, "gap")) * time.Second
		}), 1, 50).Draw(t, "gaps")
		sweep := time.Duration(rapid.IntRange(0, 120_000).Draw(t, "sweep")) * time.Millisecond
		var want apart
		for _, d := range stepwise(gaps, sweep) {
			want.add(d)
		}
		if got := newDues(gaps).starts(sweep); got != want {
			t.Fatalf("%s on %s: starts are %+v apart, want %+v", sweep, gaps, got, want)
		}
	})
}

// stepwise goes through all due times.
func stepwise(gaps []time.Duration, sweep time.Duration) []time.Duration {
	switch {
	case sweep <= slices.Min(gaps):
		return gaps
	case sweep >= slices.Max(gaps):
		return []time.Duration{sweep}
	}
	var all []time.Duration
	var start, due time.Duration
	for i := 0; i < 2*len(gaps); {
		due += gaps[i%len(gaps)]
		for i++; due+gaps[i%len(gaps)] <= start+sweep; i++ {
			due += gaps[i%len(gaps)]
		}
		began := max(due, start+sweep)
		all = append(all, began-start)
		start = began
	}
	return all
}
