package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// parseDuration reads a duration as Go writes them (1h30m, 500ms), or a number of days (30d, 1.5d), or days before
// the rest (1d12h).
func parseDuration(text string) (time.Duration, error) {
	bad := errors.New("must be a duration with its unit, such as 500ms, 5s, 1h30m or 30d")
	number, rest, hasDays := strings.Cut(text, "d")
	if !hasDays {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, bad
		}
		return d, nil
	}
	days, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(days) || math.Abs(days) > 100_000 || strings.ContainsAny(number, "eExXpP_") {
		return 0, bad
	}
	total := time.Duration(days * float64(day))
	if rest == "" {
		return total, nil
	}
	tail, err := time.ParseDuration(rest)
	if err != nil || tail < 0 || tail >= 100_000*day || days < 0 || strings.HasPrefix(rest, "+") {
		return 0, bad
	}
	return total + tail, nil
}

// formatDuration writes a duration as parseDuration reads it, whole days as days.
func formatDuration(d time.Duration) string {
	if d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
