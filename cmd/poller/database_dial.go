package main

import (
	"net"
	"time"
)

// silentPeer is how long a peer may leave bytes unacknowledged, or probes unanswered, before its connection is
// given up.
const silentPeer = 11 * time.Second

// databaseDialer makes the connections to Postgres. A peer that is gone without a word is noticed after silent
// instead of minutes: by keepalives while nothing is under way, and on Linux by TCP_USER_TIMEOUT while
// something is. Unix sockets need neither.
func databaseDialer(timeout, silent time.Duration) *net.Dialer {
	const probes = 3
	interval := max(time.Second, silent/5).Truncate(time.Second) // whole seconds are all that the system takes
	return &net.Dialer{
		Timeout: timeout,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: max(time.Second, silent-probes*interval), Interval: interval, Count: probes,
		},
		Control: giveUpAfter(silent),
	}
}
