package main

import (
	"os"
	"testing"

	"github.com/zim-presence/poller/internal/local/localtest"
)

// TestMain lets the test binary be the program, for the tests that need it as a
// process.
func TestMain(m *testing.M) {
	if os.Getenv("POLLER_TEST_MAIN") != "" {
		main()
	}
	os.Exit(localtest.Main(m).Run())
}
