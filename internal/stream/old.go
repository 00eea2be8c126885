package stream

import (
	"fmt"

	"github.com/nats-io/nats.go"
)

// OldServerError says that the server is older than 2.10. It would make streams without what it does not know
// of their configuration, and say nothing of it.
type OldServerError struct {
	// Version is the server's, such as 2.9.10.
	Version string
}

func (e *OldServerError) Error() string { return "NATS " + e.Version + " is older than 2.10" }

// Mend says what to do about it.
func (e *OldServerError) Mend() string { return "upgrade to NATS 2.10 or newer" }

// TryVersion returns an [*OldServerError] when nc is connected to a server that is too old. Nil while there is no
// connection, and of a version that says nothing.
func TryVersion(nc *nats.Conn) error {
	version := nc.ConnectedServerVersion()
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err == nil && (major < 2 || major == 2 && minor < 10) {
		return &OldServerError{version}
	}
	return nil
}
