package main

import (
	"errors"
	"strconv"
	"time"

	"github.com/alecthomas/kong"
)

// bound is an end of a range on the command line: a time, or the number of an event. The zero value is none.
type bound struct {
	text string // as it was given
	seq  int64  // 0 where it is a time
	at   time.Time
}

// Decode reads the flag's value.
func (b *bound) Decode(ctx *kong.DecodeContext) (err error) {
	token := ctx.Scan.Pop()
	if token.IsEOL() {
		return errBound
	}
	*b, err = parseBound(token.String(), time.Now())
	return err
}

var errBound = errors.New("must be a time such as 2026-11-22T18:43:36Z, 2026-11-22T18:43 (UTC), 2026-11-22 (its begin, UTC), a duration ago such as 2h or 7d, or the number of an event")

func parseBound(text string, now time.Time) (bound, error) {
	if seq, err := strconv.ParseInt(text, 10, 64); err == nil {
		if seq < 1 {
			return bound{}, errBound
		}
		return bound{text: text, seq: seq}, nil
	}
	at, err := parseMoment(text, now)
	if err != nil {
		return bound{}, errBound
	}
	return bound{text: text, at: at}, nil
}

func (b bound) given() bool { return b.text != "" }

// age is a duration on the command line, in the forms of the configuration: 24h, 7d.
type age struct{ time.Duration }

// UnmarshalText reads the flag's value.
func (a *age) UnmarshalText(text []byte) (err error) {
	a.Duration, err = parseDuration(string(text))
	return err
}
