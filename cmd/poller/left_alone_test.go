package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/status"
)

// TestRest holds that a sweep that stands because ZIM wants it says so, with what to do,
// and that one rest is told once, however many replies ask for it.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log, still := zerolog.New(&out), errors.New("the sweep has not moved for 1m1s")
		var r rest
		ask := func(after time.Duration) { r.ask(time.Now().Add(after), log) }
		if got := r.explains(still, time.Now()); !errors.Is(got, still) || status.Mend(got) != "" {
			t.Errorf("without a wish: got %v, mend %q, want the same error without a mend", got, status.Mend(got))
		}
		ask(time.Second)
		if out.Len() != 0 {
			t.Errorf("a second: got %s, want nothing said", out.String())
		}
		for range 3 {
			ask(2 * time.Minute)
		}
		if got := strings.Count(out.String(), `"seconds":120`); got != 1 {
			t.Errorf("two minutes: said %d times, want once: %s", got, out.String())
		}
		ask(2*time.Minute + time.Second)
		if got := strings.Count(out.String(), "nobody is asked"); got != 1 {
			t.Errorf("a second more: said %d times, want once: %s", got, out.String())
		}
		got := r.explains(still, time.Now())
		if want := "the sweep has not moved for 1m1s: ZIM has asked to be left alone until 2000-01-01T00:02:01Z (Retry-After)"; got.Error() != want || !errors.Is(got, still) {
			t.Errorf("got %v, want %s", got, want)
		}
		if mend := mendOf("sweep/7", got); !strings.HasPrefix(mend, "wait: ") {
			t.Errorf("the mend is %q, want to wait", mend)
		}
		if got := r.explains(nil, time.Now()); got != nil {
			t.Errorf("got %v of a sweep that goes on, want nil", got)
		}
		ask(5 * time.Minute)
		if got := strings.Count(out.String(), `"seconds":300`); got != 1 {
			t.Errorf("a longer one: said %d times, want once: %s", got, out.String())
		}
		time.Sleep(5 * time.Minute)
		if got := r.explains(still, time.Now()); !errors.Is(got, still) || strings.Contains(got.Error(), "left alone") {
			t.Errorf("when it is over: got %v, want %v", got, still)
		}
	})
}

// Whoever takes the lease over while ZIM wants to be left alone knows why nothing is
// asked; the time for which requests count, and no longer, is no such wish.
func TestRestIsInherited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		still := errors.New("the sweep has not moved for 1m1s")
		for _, test := range []struct {
			begin, window time.Duration
			told          bool
		}{
			{time.Second, time.Second, false},
			{100 * time.Second, 100 * time.Second, false}, // a rate of one in a hundred seconds
			{5 * time.Minute, time.Second, true},
		} {
			var r rest
			r.inherit(time.Now().Add(test.begin), test.window, zerolog.Nop())
			if told := r.explains(still, time.Now()).Error() != still.Error(); told != test.told {
				t.Errorf("to begin after %s with a window of %s: explained %t, want %t", test.begin, test.window, told, test.told)
			}
		}
	})
}
