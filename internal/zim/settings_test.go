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

// However often the settings change while requests are on their way, no connection of
// before stays open.
func TestSettingsThatChangeLeaveNoConnections(t *testing.T) {
	t.Parallel()
	users := numbered(600)
	sim := simulator(t, zimsim.Config{
		Apps:   []zimsim.AppConfig{{ID: testApp, Secret: testSecret, Rate: -1}},
		Faults: []zimsim.Fault{{Kind: zimsim.Slow, Delay: 3 * time.Millisecond}},
	}, users)
	r := newRig(t, sim.URL(), func(c *Config) { c.BatchSize = 2 })
	was := []*conns{r.course().conns}
	asking, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for n := 0; ; n++ {
			select {
			case <-asking:
				return
			case <-time.After(300 * time.Microsecond):
			}
			next := Settings{BaseURL: sim.URL(), Secret: testSecret, Rate: 20, BatchSize: 2, Timeout: time.Duration(10+n%2) * time.Second}
			if err := r.Set(next); err != nil {
				t.Error(err)
			}
			was = append(was, r.course().conns)
		}
	}()
	if out := r.ask(t.Context(), users); out.err != nil || len(out.observed) != len(users) {
		t.Errorf("%d of %d users observed, %v", len(out.observed), len(users), out.err)
	}
	close(asking)
	<-over
	r.Close()
	open := 0
	for _, p := range was {
		open += len(p.open)
	}
	if open != 0 {
		t.Errorf("%d connections stay open behind %d changes", open, len(was)-1)
	}
}

// A secret that is mended while a request is under way by the wrong one: that one's
// refusal does not stop the app, and nobody is missed for it.
func TestRefusedByASecretOfBefore(t *testing.T) {
	t.Parallel()
	users := numbered(300)
	sim := simulator(t, zimsim.Config{
		Apps:   []zimsim.AppConfig{{ID: testApp, Secret: testSecret, Rate: -1}},
		Faults: []zimsim.Fault{{Kind: zimsim.Slow, Delay: time.Second}},
	}, users)
	r := newRig(t, sim.URL(), func(c *Config) { c.Secret = "0000000000000000000000000000000f" })
	mended := make(chan struct{})
	go func() {
		defer close(mended)
		for sim.App(testApp).Stats().Arrivals == 0 {
			<-time.After(time.Millisecond)
		}
		if err := r.Set(Settings{BaseURL: sim.URL(), Secret: testSecret, Rate: 20, BatchSize: 100, Timeout: 10 * time.Second}); err != nil {
			t.Error(err)
		}
	}()
	if out := r.ask(t.Context(), users); out.err != nil || len(out.observed) != len(users) {
		t.Errorf("%d of %d users observed, %v; want all", len(out.observed), len(users), out.err)
	}
	<-mended
}
