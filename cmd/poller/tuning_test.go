package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
)

// What the budget allowed in a time in which the rate was changed.
func TestRatesMean(t *testing.T) {
	t.Parallel()
	at := func(seconds float64) time.Time {
		return time.Unix(1000, 0).Add(time.Duration(seconds * float64(time.Second)))
	}
	var r rates
	r.set(at(0), 20)
	r.set(at(10), 5.9)
	r.set(at(10), 5.9)
	r.set(at(20), 0.5)
	for _, c := range []struct{ from, to, want float64 }{
		{-10, -5, 20}, {-10, 10, 20}, {0, 10, 20}, {5, 15, 12.5}, {10, 20, 5}, {12, 13, 5}, {0, 30, 8.5}, {15, 25, 2.75}, {20, 30, 0.5}, {40, 50, 0.5}, {50, 50, 0.5},
	} {
		if got := r.mean(at(c.from), at(c.to)); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("mean from %g to %g s: %g, want %g", c.from, c.to, got, c.want)
		}
	}
	for i := range 1000 {
		r.set(at(float64(100+i)), float64(1+i%2))
	}
	if n := len(r.was); n != ratesKept {
		t.Errorf("%d changes are remembered, want %d", n, ratesKept)
	}
}

// Level and format change under the loggers that were made before.
func TestLiveLog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := newLiveLog(logConfig{Level: "info", Format: "json"}, &out)
	part := l.With().Uint32("app", 7).Logger()
	for _, c := range []struct {
		level, format string
		want          string
	}{
		{"info", "json", `"message":"two"`}, {"debug", "json", `"message":"one"`}, {"warn", "json", `"message":"three"`},
		{"disabled", "json", ""}, {"info", "console", "INF"},
	} {
		out.Reset()
		l.set(logConfig{Level: c.level, Format: c.format})
		part.Debug().Msg("one")
		part.Info().Msg("two")
		part.Warn().Msg("three")
		got := out.String()
		if first, _, _ := strings.Cut(got, "\n"); !strings.Contains(first, c.want) || (c.want == "") != (got == "") || strings.Contains(got, `"app":7`) != (c.format == "json" && got != "") {
			t.Errorf("%s %s: %q", c.level, c.format, got)
		}
	}
}
