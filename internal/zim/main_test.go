package zim

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/zim-presence/poller/internal/zimsim"
)

// simulatorEnv makes this test binary a simulated ZIM for the benchmark, whose
// own CPU time must not be counted.
const simulatorEnv = "ZIM_TEST_SIMULATOR_USERS"

func TestMain(m *testing.M) {
	var users int
	if _, err := fmt.Sscan(os.Getenv(simulatorEnv), &users); err == nil {
		simulate(users)
		return
	}
	flag.Parse()
	// These tests wait more than they compute; a fuzz target computes, and has as many workers as it is told.
	if flag.Lookup("test.fuzz").Value.String() == "" {
		if err := flag.Set("test.parallel", "16"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// simulate prints its address and serves until its standard input ends.
func simulate(users int) {
	s := zimsim.New(zimsim.Config{Apps: []zimsim.AppConfig{{ID: testApp, Secret: testSecret, Rate: -1}}})
	if err := s.Start(context.Background(), "127.0.0.1:0", ""); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if _, err := s.App(0).SetAll(statesOf(numbered(users))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.URL())
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
	s.Close()
}
