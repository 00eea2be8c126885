package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// longRest is from how long a rest on somebody may wonder why nothing is asked.
const longRest = 10 * time.Second

// rest is until when ZIM has asked to be left alone, by a Retry-After. It may be used
// from any goroutine.
type rest struct {
	mu    sync.Mutex // guards all below
	until time.Time
	said  time.Time // the end of the one that was said aloud last
}

// ask notes that ZIM wants it, and says a long one aloud: once however many replies ask
// for it together, and again when it becomes longer.
func (r *rest) ask(until time.Time, log zerolog.Logger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if left := time.Until(until); left >= longRest && until.Sub(r.said) >= longRest {
		r.said = until
		log.Warn().Float64("seconds", left.Round(time.Second).Seconds()).
			Msg("ZIM asks to be left alone, and nobody is asked about meanwhile")
	}
	if until.After(r.until) {
		r.until = until
	}
}

// inherit takes over what the holder of the lease before was asked for, where the lease
// says to begin later than its requests alone can want: they count for a window.
func (r *rest) inherit(begin time.Time, window time.Duration, log zerolog.Logger) {
	if time.Until(begin) > window+longRest {
		r.ask(begin, log)
	}
}

// explains returns err, why a sweep does not go on, with ZIM's wish where that is the
// reason.
func (r *rest) explains(err error, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil || !r.until.After(now) {
		return err
	}
	return &restedError{until: r.until, err: err}
}

// restedError is a sweep that stands because ZIM wants it.
type restedError struct {
	until time.Time
	err   error
}

func (e *restedError) Error() string {
	return fmt.Sprintf("%v: ZIM has asked to be left alone until %s (Retry-After)", e.err, e.until.UTC().Format(time.RFC3339))
}

func (e *restedError) Unwrap() error { return e.err }

// Mend says what to do.
func (e *restedError) Mend() string {
	return "wait: it goes on by itself, and a restart is no help; if ZIM asks for it again and again, ask ZEGOCLOUD why"
}
