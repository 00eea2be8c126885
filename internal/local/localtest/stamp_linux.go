package localtest

import (
	"net"
	"syscall"
	"time"
	"unsafe"
)

// Stamp asks the kernel to say when bytes came on a connection, for [ReadStamped].
func Stamp(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TIMESTAMPNS, 1) })
	}
}

// ReadStamped reads, and returns when what it read reached the kernel: a crowded machine
// runs a test late, and would blame whoever sent it. n is 0 at the end.
func ReadStamped(conn *net.TCPConn, buffer []byte) (n int, at time.Time, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, at, err
	}
	aside := make([]byte, 128)
	asideLen := 0
	errRead := raw.Read(func(fd uintptr) bool {
		n, asideLen, _, _, err = syscall.Recvmsg(int(fd), buffer, aside, 0)
		return err != syscall.EAGAIN //nolint:errorlint // a system call returns it bare
	})
	if errRead != nil {
		return 0, at, errRead
	}
	if err != nil {
		return 0, at, err
	}
	at = time.Now()
	messages, err := syscall.ParseSocketControlMessage(aside[:asideLen])
	for _, m := range messages {
		if m.Header.Level == syscall.SOL_SOCKET && m.Header.Type == syscall.SO_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(syscall.Timespec{})) {
			stamp := *(*syscall.Timespec)(unsafe.Pointer(&m.Data[0]))
			at = time.Unix(stamp.Unix())
		}
	}
	return n, at, err
}
