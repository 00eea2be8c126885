package status

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// errSilent is the fault of a check that was expected and has not reported yet.
var errSilent = errors.New("has not reported yet")

// Check is what a check says.
type Check struct {
	Name string
	// Err is what is wrong, nil when the check is green.
	Err error
	// Mend is what to do about Err, and may be empty. The text of Err most often says
	// it as well; Fault is that text without it.
	Mend string
	// Note is what else there is to say; most often empty.
	Note string
	// Since is when the check took on its present colour, as far as anybody
	// looked.
	Since time.Time
}

// Fault is the text of Err without the mend at its end, empty when the check is
// green: for those who show the mend beside it.
func (k Check) Fault() string {
	if k.Err == nil {
		return ""
	}
	text := k.Err.Error()
	if short, ends := strings.CutSuffix(text, k.Mend); ends && k.Mend != "" {
		short = strings.TrimSuffix(strings.TrimRight(short, " "), "mend:")
		text = strings.TrimRight(short, " ;:")
	}
	return text
}

// check is one named check. Either watch is set, or the fields below it count.
type check struct {
	watch func(now time.Time) error

	fresh    time.Duration // 0: a report holds for ever
	reported bool
	at       time.Time // of the last report
	err      error     // what it said

	// red and since are the colour when it was last looked at, and when it
	// became that; since is zero before the first look.
	red   bool
	since time.Time
}

// own returns what is wrong with a check that reports by itself, and from when
// on that has been so if it came with time alone.
func (c *check) own(now time.Time) (from time.Time, err error) {
	switch {
	case !c.reported:
		return now, errSilent
	case c.fresh == 0 || now.Sub(c.at) <= c.fresh:
		return now, c.err
	case c.err != nil:
		return now, fmt.Errorf("%w (reported %s ago)", c.err, now.Sub(c.at).Round(time.Second))
	}
	return c.at.Add(c.fresh), fmt.Errorf("has not reported for %s, expected every %s", now.Sub(c.at).Round(time.Second), c.fresh)
}

// see notes the colour that was seen, and returns since when it is that.
func (c *check) see(from time.Time, err error) time.Time {
	if red := err != nil; c.since.IsZero() || red != c.red {
		c.red, c.since = red, from
	}
	return c.since
}
