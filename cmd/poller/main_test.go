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
// process. SIGUSR1 has it collect its garbage then, so that its metrics tell what
// it really holds.
func TestMain(m *testing.M) {
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
