package stream

import (
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ack is the server's answer to a publish.
type ack struct {
	Error     *jetstream.APIError `json:"error"`
	Stream    string              `json:"stream"`
	Sequence  uint64              `json:"seq"`
	Duplicate bool                `json:"duplicate"`
}

// judge returns nil if m says that a message was stored as number want of the
// stream of that name, just now.
func judge(m *nats.Msg, name string, want uint64) error {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return surprise(nats.ErrNoResponders)
	}
	var a ack
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return surprise(fmt.Errorf("unreadable ack %q", m.Data))
	}
	switch {
	case a.Error != nil:
		return apiFault(a.Error)
	case a.Stream != name:
		return fmt.Errorf("%w: %q stored the message", ErrAltered, a.Stream)
	case a.Duplicate:
		return surprise(fmt.Errorf("%w: it was stored as %d", ErrDuplicate, a.Sequence))
	case a.Sequence != want:
		return surprise(fmt.Errorf("stored as %d, not as %d", a.Sequence, want))
	}
	return nil
}
