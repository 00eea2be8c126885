package zim

import (
	"sync/atomic"
	"testing"

	"github.com/zim-presence/poller/internal/zimsim"
)

// Who is stopped between the slot and the sending, and may not send any more when
// it wakes up, sends nothing: not over a connection that stands, and not over a
// new one.
func TestNothingLeavesThatIsNotAllowedAnyMore(t *testing.T) {
	for name, c := range map[string]zimsim.Config{"clear": {}, "TLS": {TLS: true, HTTP1: true}, "HTTP/2": {TLS: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			users := numbered(1)
			s := simulator(t, c, users)
			var late atomic.Bool
			r := newRig(t, s.URL(), secure(s), func(c *Config) {
				c.Allowed = func() bool { return !late.Load() }
			})
			first := r.ask(t.Context(), users)
			late.Store(true)
			refused := r.ask(t.Context(), users)
			if arrived := s.App(0).Stats().Arrivals; arrived != 1 || len(refused.missed) != 1 {
				t.Errorf("%d requests arrived and %d users missed, want 1 and 1", arrived, len(refused.missed))
			}
			late.Store(false)
			again := r.ask(t.Context(), users)
			if len(first.observed) != 1 || len(again.observed) != 1 {
				t.Errorf("%d and %d users observed while all was allowed, want 1 and 1", len(first.observed), len(again.observed))
			}
		})
	}
}
