package main

import (
	"errors"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/zim-presence/poller/presence"
)

// moment is a time on the command line; zero where none is given.
type moment struct{ time.Time }

// Decode reads the flag's value. It takes what follows as it is: -2h is a time, and no flag.
func (m *moment) Decode(ctx *kong.DecodeContext) (err error) {
	token := ctx.Scan.Pop()
	if token.IsEOL() {
		return errMoment
	}
	m.Time, err = parseMoment(token.String(), time.Now())
	return err
}

var errMoment = errors.New("must be a time such as 2026-11-22T18:43:36Z, 2026-11-22T18:43 (UTC), 2026-11-22 (its begin, UTC), or a duration ago such as 2h or 7d")

// parseMoment reads a time in RFC 3339, one without a zone, which is UTC, a day, which is its begin in UTC, or how long
// ago it was, with or without a minus. It cuts to whole microseconds, as every time here.
func parseMoment(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.UTC); err == nil {
			return presence.Instant(t), nil
		}
	}
	if text == "now" {
		return presence.Instant(now), nil
	}
	ago, err := parseDuration(strings.TrimPrefix(text, "-"))
	if err != nil || ago < 0 || strings.Contains(text, "+") { // which would be a time to come
		return time.Time{}, errMoment
	}
	return presence.Instant(now.Add(-ago)), nil
}
