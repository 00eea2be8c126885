package zimsim

import "fmt"

// State is what the gateway says about a user at one instant. The zero value, LoggedOut, is also the state of
// every user that nobody ever named.
type State uint8

// The three states that an answer can tell apart.
const (
	LoggedOut State = iota // ErrorList, SubCode 660200001: logged out, never logged in, or no such user
	Timeout                // Result, "Offline": the heartbeat was lost 35 s ago or earlier
	Online                 // Result, "Online"
)

// String is the state's word on the control interface: online, timeout or logged_out.
func (s State) String() string {
	switch s {
	case LoggedOut:
		return "logged_out"
	case Timeout:
		return "timeout"
	case Online:
		return "online"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Status is "online" or "offline".
func (s State) Status() string {
	if s == Online {
		return "online"
	}
	return "offline"
}

// Detail says why a user is offline: "timeout", "no_session", or empty for one who is online.
func (s State) Detail() string {
	switch s {
	case Timeout:
		return "timeout"
	case LoggedOut:
		return "no_session"
	}
	return ""
}

// ParseState reads a word of the control interface.
func ParseState(word string) (State, error) {
	for s := LoggedOut; s <= Online; s++ {
		if s.String() == word {
			return s, nil
		}
	}
	return 0, fmt.Errorf("state %q: want online, timeout or logged_out", word)
}

// MarshalText writes the word of the control interface.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word of the control interface.
func (s *State) UnmarshalText(text []byte) error {
	got, err := ParseState(string(text))
	*s = got
	return err
}
