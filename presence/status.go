package presence

import "fmt"

// Status is what is known of a user. The zero value is [Unknown].
type Status uint8

const (
	// Unknown: never answered, or no longer watched.
	Unknown Status = iota
	// Offline: answered as not connected; the [Detail] says which way.
	Offline
	// Online: answered as connected.
	Online
)

// String returns the word used in events, SQL and logs.
func (s Status) String() string {
	switch s {
	case Unknown:
		return "unknown"
	case Offline:
		return "offline"
	case Online:
		return "online"
	}
	return fmt.Sprintf("status(%d)", uint8(s))
}

// ParseStatus is the inverse of [Status.String].
func ParseStatus(word string) (Status, error) {
	for s := Unknown; s <= Online; s++ {
		if s.String() == word {
			return s, nil
		}
	}
	return Unknown, fmt.Errorf("no such status: %q", word)
}

// MarshalText encodes the status as its word; a value that is none is an error.
func (s Status) MarshalText() ([]byte, error) {
	if s > Online {
		return nil, fmt.Errorf("no such status: %d", uint8(s))
	}
	return []byte(s.String()), nil
}

// UnmarshalText is the inverse of [Status.MarshalText].
func (s *Status) UnmarshalText(text []byte) (err error) {
	*s, err = ParseStatus(string(text))
	return err
}

// Detail says in which way a user is offline. The zero value is [NoDetail],
// the only one that goes with [Online] and [Unknown].
type Detail uint8

const (
	// NoDetail: nothing to add.
	NoDetail Detail = iota
	// Timeout: ZIM said Offline, which it does 35 s after the last heartbeat.
	Timeout
	// NoSession: logged out, never logged in, or no such user (SubCode 660200001).
	NoSession
)

// String returns the word used in events, SQL and logs; "" for [NoDetail].
func (d Detail) String() string {
	switch d {
	case NoDetail:
		return ""
	case Timeout:
		return "timeout"
	case NoSession:
		return "no_session"
	}
	return fmt.Sprintf("detail(%d)", uint8(d))
}

// ParseDetail is the inverse of [Detail.String].
func ParseDetail(word string) (Detail, error) {
	for d := NoDetail; d <= NoSession; d++ {
		if d.String() == word {
			return d, nil
		}
	}
	return NoDetail, fmt.Errorf("no such detail: %q", word)
}

// MarshalText encodes the detail as its word; a value that is none is an error.
func (d Detail) MarshalText() ([]byte, error) {
	if d > NoSession {
		return nil, fmt.Errorf("no such detail: %d", uint8(d))
	}
	return []byte(d.String()), nil
}

// UnmarshalText is the inverse of [Detail.MarshalText].
func (d *Detail) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDetail(string(text))
	return err
}
