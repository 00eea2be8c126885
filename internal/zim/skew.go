package zim

import (
	"fmt"
	"math"
	"net/http"
	"sync"
	"time"
)

// skewWindow is how long a reply says something about the clocks: between one and
// two of these.
const skewWindow = 2 * time.Minute

// skewAlarm is from which difference on somebody should look after the clock. ZIM
// refuses signatures at ten minutes.
const skewAlarm = 30 * time.Second

// bounds is how far this machine's clock is ahead of ZIM's, at least and at most.
type bounds struct{ least, most time.Duration }

// and returns what satisfies both; ok is false when nothing does.
func (b bounds) and(other bounds) (both bounds, ok bool) {
	both = bounds{max(b.least, other.least), min(b.most, other.most)}
	return both, both.least <= both.most
}

// skew estimates how far this machine's clock is ahead of ZIM's, from the Date of
// replies. One reply alone says it up to a second and the time that the request
// took: it was made when ZIM's clock showed the second that it names, and that was
// between asking and reading.
//
//	ours    asked ─────────────── read
//	                   ↑
//	ZIM's          D ──┴── D + 1 s            asked − D − 1 s < ahead ≤ read − D
//
// Seconds turn over at different moments of different requests, so that what all
// replies of a while have in common is narrower, down to the time of one request.
// Where they have nothing in common somebody has set one of the clocks, and the
// newest alone counts. It may be used from any goroutine.
type skew struct {
	warn func(ahead time.Duration) // over the alarm, once in a while

	mu            sync.Mutex // guards all below
	older, newer  *bounds    // of the window before, and of this one
	began         time.Time  // this one, by the clock that nobody sets
	over, reading bool       // it has been said aloud; something is known
	said          time.Time  // when a reply last was over the alarm
	sum           bounds     // what both windows say
}

// hear takes the Date of a reply to a request that was sent and read then, if there
// is one. Both times carry the machine's clock and the one that nobody sets.
func (s *skew) hear(header http.Header, asked, read time.Time) {
	date, err := http.ParseTime(header.Get("Date"))
	wall, really := read.Round(0).Sub(asked.Round(0)), read.Sub(asked)
	if err != nil || header.Get("Age") != "" || wall < really-time.Second/2 || wall > really+time.Second/2 {
		return // none, or a cache's, or our own clock was set in between
	}
	// Without their monotonic part: differences are between what the clocks showed.
	seen := bounds{asked.Round(0).Sub(date) - time.Second, read.Round(0).Sub(date)}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch age := read.Sub(s.began); {
	case age >= 2*skewWindow:
		s.older, s.newer = nil, nil
	case age >= skewWindow:
		s.older, s.newer = s.newer, nil
	}
	s.take(seen, read)
	s.judge(read)
}

// take narrows what is known by what was seen. mu is held.
func (s *skew) take(seen bounds, now time.Time) {
	if s.newer == nil {
		s.newer, s.began = &seen, now
	} else if both, ok := s.newer.and(seen); ok {
		*s.newer = both
	} else {
		s.older, s.newer, s.began = nil, &seen, now
	}
	s.sum, s.reading = *s.newer, true
	if s.older == nil {
		return
	}
	if both, ok := s.older.and(*s.newer); ok {
		s.sum = both
	} else {
		s.older = nil
	}
}

// judge says aloud what is over the alarm for sure, and again only when for a window
// no reply was: one of several gateways may go wrong, and answer now and then. mu is
// held.
func (s *skew) judge(now time.Time) {
	switch surely := s.sum; {
	case surely.least > skewAlarm || surely.most < -skewAlarm:
		s.said = now
		if !s.over {
			s.over = true
			s.warn(surely.middle())
		}
	case surely.least >= -skewAlarm && surely.most <= skewAlarm && now.Sub(s.said) >= skewWindow:
		s.over = false
	}
}

func (b bounds) middle() time.Duration { return b.least + (b.most-b.least)/2 }

// ahead returns the middle of what is possible; known is false before the first
// reply with a Date.
func (s *skew) ahead() (ahead time.Duration, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sum.middle(), s.reading
}

// Skew returns how far this machine's clock is ahead of ZIM's, from the Date of the
// replies of the last minutes, to a second at first and to the time that a request
// takes soon; below 0 for behind. known is false before the first reply with a Date.
func (c *Client) Skew() (ahead time.Duration, known bool) { return c.skew.ahead() }

// skewText says in words which clock is ahead.
func skewText(ahead time.Duration) string {
	if ahead < 0 {
		return fmt.Sprintf("our clock is %.0f s behind ZIM's", -ahead.Seconds())
	}
	return fmt.Sprintf("our clock is %.0f s ahead of ZIM's", ahead.Seconds())
}

// warnOfSkew says what the matter is before ZIM refuses anything.
func (c *Client) warnOfSkew(ahead time.Duration) {
	c.cfg.Log.Warn().Float64("seconds_ahead", math.Round(ahead.Seconds()*10)/10).
		Msg("this machine's clock and ZIM's differ; event times are by this one, and ZIM refuses every request from ten minutes on: set this machine's clock")
}
