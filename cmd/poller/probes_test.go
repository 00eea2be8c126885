package main

import (
	"testing"
	"testing/synctest"
	"time"
)

// Events that are told within a minute are no fault, and one that was not is named with
// its age.
func TestLagging(t *testing.T) {
	for _, c := range []struct {
		events int64
		oldest time.Duration
		want   string
	}{
		{0, 0, ""},
		{0, time.Hour, ""},
		{5, time.Minute, ""},
		{1, 61 * time.Second, "1 event not told yet, the oldest for 1m1s"},
		{12345, 3 * time.Hour, "12345 events not told yet, the oldest for 3h0m0s"},
	} {
		got := ""
		if err := lagging(c.events, c.oldest); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%d events, the oldest %s: %q, want %q", c.events, c.oldest, got, c.want)
		}
	}
}

// A part that has given no sign yet is not missed; one that gave it and stopped is.
func TestSign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sign
		if err := s.missing(time.Now(), 0); err != nil {
			t.Errorf("before any sign: %v", err)
		}
		s.give()
		time.Sleep(stuckAfter)
		if err := s.missing(time.Now(), stuckAfter); err != nil {
			t.Errorf("just in time: %v", err)
		}
		time.Sleep(time.Second)
		if err := s.missing(time.Now(), stuckAfter); err == nil || err.Error() != "nothing was done for 15m1s" {
			t.Errorf("late: %v", err)
		}
		s.give()
		if err := s.missing(time.Now(), stuckAfter); err != nil {
			t.Errorf("after a new sign: %v", err)
		}
	})
}
