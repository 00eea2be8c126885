//go:build !linux

package localtest

import (
	"net"
	"time"
)

// Stamp would ask the kernel to say when bytes came.
func Stamp(*net.TCPConn) {}

// ReadStamped reads, and returns when that was. n is 0 at the end.
func ReadStamped(conn *net.TCPConn, buffer []byte) (n int, at time.Time, err error) {
	n, err = conn.Read(buffer)
	return n, time.Now(), err
}
