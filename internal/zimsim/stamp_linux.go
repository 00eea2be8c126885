package zimsim

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
	"unsafe"
)

// stamped reads from a connection of which the kernel notes when bytes came: a
// crowded machine runs a server late, and would blame its clients for it.
type stamped struct {
	raw   syscall.RawConn
	aside []byte // what the kernel says beside the bytes
}

// stampAll asks for the stamps of all connections that the listener will accept. The kernel begins to stamp a moment
// after the first socket of all asks for it, and ends with the last: asked here it stamps, while the listener stands,
// also the bytes that come before anybody has accepted their connection.
func stampAll(l net.Listener) {
	if tcp, ok := l.(*net.TCPListener); ok {
		_ = stamp(tcp) // a connection is asked for its own anyway
	}
}

// newStamped returns nil where the kernel does not say.
func newStamped(c net.Conn) *stamped {
	tcp, ok := c.(*net.TCPConn)
	if !ok || stamp(tcp) != nil {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return &stamped{raw: raw, aside: make([]byte, syscall.CmsgSpace(int(unsafe.Sizeof(syscall.Timespec{}))))}
}

func stamp(socket syscall.Conn) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		refused = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_TIMESTAMPNS, 1)
	})
	return errors.Join(err, refused)
}

// read reads like Read of the connection, and returns when the bytes came; zero
// for not known.
func (s *stamped) read(b []byte) (n int, at time.Time, err error) {
	if len(b) == 0 {
		return 0, at, nil
	}
	var aside int
	var got error
	err = s.raw.Read(func(fd uintptr) bool {
		for {
			n, aside, _, _, got = syscall.Recvmsg(int(fd), b, s.aside, 0)
			if !errors.Is(got, syscall.EINTR) {
				return !errors.Is(got, syscall.EAGAIN)
			}
		}
	})
	switch {
	case err != nil:
		return 0, at, err
	case got != nil:
		return 0, at, got
	case n == 0:
		return 0, at, io.EOF
	}
	return n, stampOf(s.aside[:aside]), nil
}

func stampOf(aside []byte) time.Time {
	messages, err := syscall.ParseSocketControlMessage(aside)
	if err != nil {
		return time.Time{}
	}
	for _, m := range messages {
		if m.Header.Level == syscall.SOL_SOCKET && m.Header.Type == syscall.SO_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(syscall.Timespec{})) {
			return time.Unix((*syscall.Timespec)(unsafe.Pointer(&m.Data[0])).Unix())
		}
	}
	return time.Time{}
}
