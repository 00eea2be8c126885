package presence

import (
	"errors"
	"fmt"
	"strconv"
)

// A replay tells the past again, on subjects and in a stream of its own. Its
// messages have the headers of the live ones and two more.
const (
	// ReplayRoot is the first two tokens of the subject of every message of a replay.
	ReplayRoot = "presence.replay"
	// HeaderReplay names the replay. A live event has no such header.
	HeaderReplay = "Presence-Replay"
	// HeaderPosition is the number of the message within its replay: 1, 2, 3 and so on.
	// In its stream a message that was erased or has expired leaves a hole.
	HeaderPosition = "Presence-Replay-Position"
	// MaxReplayName is the most bytes that the name of a replay has.
	MaxReplayName = 64
)

// ErrReplayName is wrapped by every error of [CheckReplayName].
var ErrReplayName = errors.New("invalid name of a replay")

// CheckReplayName tells whether a replay can be called so: 1 to [MaxReplayName] of
// A-Z, a-z, 0-9, _ and -.
func CheckReplayName(name string) error {
	if name == "" || len(name) > MaxReplayName {
		return fmt.Errorf("%w: %d bytes, not 1 to %d", ErrReplayName, len(name), MaxReplayName)
	}
	for i := range len(name) {
		if !plainInSubject(name[i]) {
			return fmt.Errorf("%w: %q has more than letters, digits, _ and -", ErrReplayName, name)
		}
	}
	return nil
}

// ReplaySubject returns the NATS subject of a message of a replay:
// presence.replay.<name>.<app_id>.<kind>.<user>, the user as [EncodeUser] writes
// it. kind is the word of a [Kind], or [StandingWord].
func ReplaySubject(name string, appID uint32, kind, userID string) string {
	return ReplaySubjects(name, appID) + kind + "." + EncodeUser(userID)
}

// ReplaySubjects returns how the subjects of all messages of a replay begin, the
// last dot included.
func ReplaySubjects(name string, appID uint32) string {
	return ReplayRoot + "." + name + "." + strconv.FormatUint(uint64(appID), 10) + "."
}

// ReplayOf reads from a message's headers of which replay it is, and its position
// there. get is the Get of the message's headers. ok is false for a live event.
func ReplayOf(get func(key string) string) (name string, position int64, ok bool) {
	name = get(HeaderReplay)
	position, err := strconv.ParseInt(get(HeaderPosition), 10, 64)
	if CheckReplayName(name) != nil || err != nil || position < 1 {
		return "", 0, false
	}
	return name, position, true
}

// Retold is one message of a replay.
type Retold struct {
	Replay string
	// Position is its number within the replay, from 1.
	Position int64
	// ID is the CloudEvents id: of an event told again that of the live one.
	ID string
	// Seq is the number of an event told again, 0 for a message of another type.
	Seq     int64
	Subject string
	Data    []byte
}

// MsgID is its Nats-Msg-Id, <name>/<id>: with the id alone, a server that knows the
// live event, or another replay, would take it for a duplicate.
func (r *Retold) MsgID() string { return r.Replay + "/" + r.ID }

// Again returns the message that tells the event in a replay: the same id, seq
// and bytes as the live one's. The errors are those of [Event.Data].
func (e *Event) Again(replay string, position int64) (Retold, error) {
	data, err := e.Data()
	if err != nil {
		return Retold{}, err
	}
	return Retold{
		Replay: replay, Position: position, ID: e.ID(), Seq: e.Seq, Data: data,
		Subject: ReplaySubject(replay, e.AppID, e.Kind.String(), e.User.ID),
	}, nil
}
