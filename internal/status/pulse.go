package status

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Pulse has /healthz depend on f too, until the name is removed: an error of it says
// that a part of the process stands still, by no fault of anything outside, so that
// nothing but a new start helps. It is called once a second while Run runs, and must
// not wait. Of the same name the newest counts.
func (c *Checks) Pulse(name string, f func(now time.Time) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulses[name] = f
}

// Turning returns nil while the process turns: Run goes its rounds, and every pulse
// beats. It takes no lock and may be called from any goroutine.
func (c *Checks) Turning() error { return c.turning(time.Now()) }

// feel returns what is wrong with the first pulse, by name, with which something is.
func (c *Checks) feel(now time.Time) error {
	c.mu.Lock()
	pulses := maps.Clone(c.pulses)
	c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(pulses)) {
		if err := pulses[name](now); err != nil {
			return fmt.Errorf("stalled: %s: %w", name, err)
		}
	}
	return nil
}
