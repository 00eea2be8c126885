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
	pastFor   = flag.Duration("past.for", 30*time.Second, "how long the day lasts, and how long subscribers come late")
	pastSeed  = flag.Uint64("past.seed", 0, "seed of both; 0 draws one")
)

// drawSeed returns the seed that was given, or else one of its own.
func drawSeed(given uint64) uint64 {
	if given != 0 {
		return given
	}
	return uint64(time.Now().UnixNano())%1_000_000_000 + 1
}

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
