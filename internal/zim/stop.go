package zim

import "time"

// probeEvery is how often a stopped app is tried again.
const probeEvery = time.Minute

// probe tells whether the app is stopped and its turn to be tried has come; the
// error is what stopped it while it has not.
func (c *Client) probe(now time.Time) (probing bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped == nil {
		return false, nil
	}
	if now.Sub(c.probed) < c.probeEvery {
		return false, c.stopped
	}
	c.probed = now
	return true, nil
}

// stoppedBy returns what stopped the app, nil while it goes.
func (c *Client) stoppedBy() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped == nil {
		return nil
	}
	return c.stopped
}

// setStopped notes what stopped the app; nil when it goes again.
func (c *Client) setStopped(e *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped == nil && e != nil {
		c.probed = time.Now()
	}
	c.stopped = e
}
