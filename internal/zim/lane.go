package zim

import "time"

// Lane is the way that a request takes to its slot.
type Lane string

const (
	// LaneSweep is that of [Client.Ask].
	LaneSweep Lane = "sweep"
	// LaneConfirm is that of [Client.Confirm].
	LaneConfirm Lane = "confirm"
)

// lead is how many requests of a lane may hold a connection while they wait for a
// slot. The budget serves them in the order in which they come, so this is also
// how many of the sweep's a confirmation finds before it.
const lead = 2

// lane is what the requests of one lane share.
type lane struct {
	name  Lane
	seats chan struct{} // of those who wait for a slot
	// weather and slow bound how often one batch is asked for what passes, and after
	// being told to slow down.
	weather, slow int
}

// sweepLane is in no hurry. Everybody waits after being told to slow down, so more
// patience costs nobody anything.
func sweepLane() lane {
	return lane{name: LaneSweep, seats: make(chan struct{}, lead), weather: 4, slow: 8}
}

// confirmLane gives up within seconds: who wants to know asks again.
func confirmLane() lane {
	return lane{name: LaneConfirm, seats: make(chan struct{}, lead), weather: 2, slow: 2}
}

// confirmPatience bounds how long a confirmation waits for a slot, and for the end of
// what the server asked to wait. At a low rate the slots themselves are far apart.
func confirmPatience(rate float64) time.Duration {
	return 5*time.Second + time.Duration(2*lead*float64(time.Second)/rate)
}
