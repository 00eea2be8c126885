package zim

import (
	"slices"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// In the middle of a call all the rest is asked elsewhere, with another secret, as soon
// as the settings say so; nobody is missed for it, and no request is wasted.
func TestSettingsChangeInTheMiddleOfACall(t *testing.T) {
	t.Parallel()
	users := numbered(1000)
	first := simulator(t, zimsim.Config{Faults: []zimsim.Fault{{Kind: zimsim.Slow, Delay: 5 * time.Millisecond}}}, users)
	second := simulator(t, zimsim.Config{Apps: []zimsim.AppConfig{{ID: testApp, Secret: "another-secret", Rate: -1}}}, users)
	r := newRig(t, first.URL(), func(c *Config) { c.BatchSize = 10 })
	answered := 0
	out := r.collected(users, func(answers chan<- presence.Answer) (Asked, error) {
		between := make(chan presence.Answer)
		passed := make(chan struct{})
		go func() {
			defer close(passed)
			for a := range between {
				if answered++; answered == 20 {
					if err := r.Set(Settings{BaseURL: second.URL(), Secret: "another-secret", Rate: 40, BatchSize: 100, Timeout: 6 * time.Second}); err != nil {
						t.Error(err)
					}
				}
				answers <- a
			}
		}()
		asked, err := r.Ask(t.Context(), slices.Values(users), between)
		close(between)
		<-passed
		return asked, err
	})
	if out.err != nil || len(out.observed) != len(users) || out.asked.Requests != 100 {
		t.Errorf("%d of %d users observed with %d requests, %v; want all with 100", len(out.observed), len(users), out.asked.Requests, out.err)
	}
	was, is := first.App(testApp).Stats(), second.App(testApp).Stats()
	if was.Arrivals < 20 || is.Arrivals < 20 || was.Arrivals+is.Arrivals != 100 {
		t.Errorf("%d requests to the first and %d to the second; want 100 together, and some to both", was.Arrivals, is.Arrivals)
	}
	if out := r.ask(t.Context(), users); out.asked.Requests != 10 || len(out.observed) != len(users) {
		t.Errorf("%d requests with the next call, want 10", out.asked.Requests)
	}
	if len(r.retired) != 0 {
		t.Errorf("%d sets of connections are left over", len(r.retired))
	}
	if err := r.Set(Settings{BaseURL: "nowhere", Secret: "s", Rate: 1, BatchSize: 1, Timeout: time.Second}); err == nil || r.course().BatchSize != 100 {
		t.Errorf("a base url that is none: %v, batches of %d", err, r.course().BatchSize)
	}
}
