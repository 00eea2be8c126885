package main

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"5s": 5 * time.Second, "500ms": 500 * time.Millisecond, "1h30m": 90 * time.Minute, "0": 0, "-5s": -5 * time.Second,
		"30d": 720 * time.Hour, "1.5d": 36 * time.Hour, "1d12h": 36 * time.Hour, "0d": 0, "-1d": -day, "+2d": 2 * day,
	} {
		if got, err := parseDuration(text); got != want || err != nil {
			t.Errorf("%q is %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "5", "d", "1dd", "1d-1h", "-1d1h", "1d+1h", "1d1", "1e3d", "0x1d", "infd", "nand", "1000001d", "5 s", " 5s", "5s\n", "1d 12h", "2w", "9999999h", "99999d9999999h"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

func TestDurationsReadAsTheyAreShown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(100_000*day)).Draw(t, "d"))
		d = d.Truncate(rapid.SampledFrom([]time.Duration{1, time.Millisecond, time.Second, time.Minute, time.Hour, day}).Draw(t, "unit"))
		if got, err := parseDuration(formatDuration(d)); got != d || err != nil {
			t.Fatalf("%v is shown as %q and read as %v (%v)", d, formatDuration(d), got, err)
		}
	})
}
