//go:build !linux

package zimsim

import (
	"errors"
	"net"
	"time"
)

// stamped is for kernels that note when bytes came.
type stamped struct{}

func stampAll(net.Listener) {}

func newStamped(net.Conn) *stamped { return nil }

func (*stamped) read([]byte) (int, time.Time, error) { return 0, time.Time{}, errors.ErrUnsupported }
