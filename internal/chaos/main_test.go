package chaos

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/local/localtest"
)

var (
	chaosFor  = flag.Duration("chaos.for", time.Minute, "how long faults are made")
	chaosSeed = flag.Uint64("chaos.seed", 0, "seed of the plan; 0 draws one")
)

// TestMain lets the test binary be one of the servers, so that kill -9 of a
// server is real.
func TestMain(m *testing.M) {
	var err error
	switch os.Getenv("CHAOS_PART") {
	case "":
		os.Exit(localtest.Main(m).Run())
	case "nats":
		err = natsPart()
	case "zim":
		err = zimPart()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
