package presence

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ControlRoot is the first three tokens of the subjects of what is told about the
// event stream itself, in a stream beside it. Its messages have no Presence-Seq:
// they are not events of the ledger. More kinds of them may come; consumers ignore
// those that they do not know.
const ControlRoot = "presence.control.v1"

// ControlSubject returns the NATS subject presence.control.v1.<app_id>.<word>;
// the word ">" stands for all.
func ControlSubject(appID uint32, word string) string {
	return ControlRoot + "." + strconv.FormatUint(uint64(appID), 10) + "." + word
}

// Control is a message about the event stream: an [Erased], a [SweepTold], an
// [IncidentTold] or a [LeaseTold].
type Control interface {
	// ID is the CloudEvents id: the same however often the message is told.
	ID() string
	// Subject is the NATS subject.
	Subject() string
	// Data is the CloudEvents 1.0 structured JSON; an error says what in the message
	// cannot be told.
	Data() ([]byte, error)
}

// Mark numbers what is told in one term of an app's lease.
type Mark struct {
	AppID uint32
	// Log is that of the events of the term.
	Log string
	// Epoch is the number of the term, one more with each holder of the lease.
	Epoch int64
	// N counts the messages of the term from 1, also those that were given up: a
	// number that is missing was never told.
	N int64
}

// ID returns the CloudEvents id, <app_id>-<log>-<epoch>-<n>.
func (m Mark) ID() string {
	return strconv.FormatUint(uint64(m.AppID), 10) + "-" + m.Log + "-" + strconv.FormatInt(m.Epoch, 10) + "-" + strconv.FormatInt(m.N, 10)
}

func (m Mark) check() error {
	if len(m.Log) != 8 || strings.Trim(m.Log, "0123456789abcdef") != "" {
		return fmt.Errorf("log %q is not 8 hex digits", m.Log)
	}
	if m.Epoch < 1 || m.N < 1 {
		return fmt.Errorf("epoch %d and number %d are not both positive", m.Epoch, m.N)
	}
	return nil
}

// parseMark reads an id as [Mark.ID] writes it.
func parseMark(appID uint32, id string) (Mark, error) {
	m := Mark{AppID: appID}
	if parts := strings.Split(id, "-"); len(parts) == 4 {
		m.Log = parts[1]
		m.Epoch, _ = strconv.ParseInt(parts[2], 10, 64) // 0 is refused below
		m.N, _ = strconv.ParseInt(parts[3], 10, 64)
	}
	if err := m.check(); err != nil || m.ID() != id {
		return m, errors.New("the id is not one of this app")
	}
	return m, nil
}

// told tells whether a time can be told, and is one.
func told(t time.Time) bool { return !t.IsZero() && tellable(t) }
