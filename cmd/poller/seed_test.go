package main

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// drawSeed returns the seed of a test that draws its faults: another each time, or
// the one that POLLER_TEST_SEED gives back. It stands in the test's log.
func drawSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("POLLER_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("POLLER_TEST_SEED: %v", err)
		}
	}
	t.Logf("POLLER_TEST_SEED=%d", seed)
	return seed
}
