package status

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// A part that stands still turns /healthz red, and that alone: what is wrong outside
// is the business of readiness.
func TestPulses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := NewChecks()
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { checks.Run(ctx, zerolog.Nop()) })
		state := func(when, want string) {
			t.Helper()
			time.Sleep(1500 * time.Millisecond) // a round
			if got := fmt.Sprint(checks.Turning()); got != want {
				t.Errorf("%s: got %s, want %s", when, got, want)
			}
		}
		checks.Set("nats", errors.New("away"))
		state("with a red check", "<nil>")
		checks.Pulse("sweep/1", func(time.Time) error { return nil })
		checks.Pulse("stream/2", func(time.Time) error { return errors.New("no round for 15m0s") })
		state("with a part that stands still", "stalled: stream/2: no round for 15m0s")
		if ready, said := checks.Judge(); ready || len(said) != 1 {
			t.Errorf("ready %t, %v; want what the checks say alone", ready, said)
		}
		checks.Pulse("stream/2", func(time.Time) error { return nil })
		state("when it goes on", "<nil>")
		checks.Pulse("sweep/1", func(time.Time) error { return errors.New("not moved") })
		state("with another", "stalled: sweep/1: not moved")
		checks.Remove("sweep/1")
		state("when that is over", "<nil>")
		cancel()
		running.Wait()
	})
}
