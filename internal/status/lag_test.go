package status

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/zim-presence/poller/presence"
)

// What is told of the lag can be asked for, and its age grows by itself.
func TestLagCanBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewMetrics("v1").App(1)
		look := func(when string, events int64, age time.Duration) {
			t.Helper()
			if n, old := a.Lag(); n != events || old != age {
				t.Errorf("%s: %d events, the oldest %s old; want %d and %s", when, n, old, events, age)
			}
		}
		look("at first", 0, 0)
		a.SetLag(5, 10*time.Second)
		look("said", 5, 10*time.Second)
		time.Sleep(time.Minute)
		look("later", 5, 70*time.Second)
		a.Told(3, presence.Event{Transition: presence.Transition{ObservedAt: time.Now().Add(-time.Second)}}, 2)
		look("some told", 2, time.Second)
		a.SetLag(0, 0)
		look("all told", 0, 0)
	})
}
