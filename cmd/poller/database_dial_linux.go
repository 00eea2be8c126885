package main

import (
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// giveUpAfter sets how long bytes that were sent may stay unacknowledged.
func giveUpAfter(silent time.Duration) func(network, address string, conn syscall.RawConn) error {
	return func(network, _ string, conn syscall.RawConn) error {
		if !strings.HasPrefix(network, "tcp") {
			return nil
		}
		var errSet error
		err := conn.Control(func(fd uintptr) {
			errSet = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silent.Milliseconds()))
		})
		if err != nil {
			return err
		}
		return errSet
	}
}
