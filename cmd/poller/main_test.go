package main

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"testing"

	"github.com/zim-presence/poller/internal/local/localtest"
)

// TestMain lets the test binary be the program, for the tests that need it as a
// process, or a NATS server that can be killed. SIGUSR1 has the program collect its
// garbage, so that its metrics tell what it really holds.
func TestMain(m *testing.M) {
	if config := os.Getenv("POLLER_TEST_NATS"); config != "" {
		runNode(config)
		return
	}
	if os.Getenv("POLLER_TEST_MAIN") != "" {
		collect := make(chan os.Signal, 1)
		signal.Notify(collect, syscall.SIGUSR1)
		go func() {
			for range collect {
				runtime.GC()
			}
		}()
		main()
	}
	os.Exit(localtest.Main(m).Run())
}
