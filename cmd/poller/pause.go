package main

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// pause waits between tries: half a second at first, up to five.
type pause struct{ *backoff.ExponentialBackOff }

func newPause() pause {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 500*time.Millisecond, 5*time.Second
	return pause{b}
}

// wait waits, or until ctx ends.
func (p pause) wait(ctx context.Context) {
	timer := time.NewTimer(p.NextBackOff())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
