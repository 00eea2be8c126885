//go:build !linux

package chaos

import (
	"net"
	"time"
)

// stamped would ask the kernel to say when bytes came.
func stamped(*net.TCPConn) {}

// readStamped reads, and returns when that was.
func readStamped(conn *net.TCPConn, buffer []byte) (n int, at time.Time, err error) {
	n, err = conn.Read(buffer)
	return n, time.Now(), err
}
