package presence

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// StandingType is the CloudEvents type of a [Standing].
	StandingType = "presence.state.v1"
	// StandingWord stands for the kind in its subject.
	StandingWord = "state"
)

// Standing tells how a user stood when a replay begins. It is no event of the
// ledger and has no number there. Who was neither online nor offline has none.
type Standing struct {
	AppID uint32
	// Log is that of the ledger: 8 hex digits, as in the ids of events.
	Log  string
	User User
	// Status is Online or Offline.
	Status Status
	// Seq is the last event that counts: it is the state behind that event and before
	// the next one. 0: before the first of all.
	Seq int64
	// At is the time of which that is true.
	At time.Time
}

// ID returns the CloudEvents id, <app_id>-<log>-state-<seq>-<number of the user>:
// the same state has the same id in every replay.
func (s *Standing) ID() string {
	return fmt.Sprintf("%d-%s-state-%d-%d", s.AppID, s.Log, s.Seq, s.User.No)
}

// Data returns the CloudEvents 1.0 structured JSON, the same bytes for the same
// state. One that cannot be told is an error.
func (s *Standing) Data() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("state %s: %w", s.ID(), err)
	}
	app, at := strconv.FormatUint(uint64(s.AppID), 10), s.At.UTC().Format(timeSixPlace)
	b := make([]byte, 0, 384)
	b = appendHead(b, app, s.ID(), StandingType, s.User.ID, at)
	b = append(b, `{"app_id":`+app+`,"user_id":`...)
	b = appendJSONString(b, s.User.ID)
	b = append(b, `,"status":"`+s.Status.String()+`","at":"`+at+`","at_seq":`...)
	b = strconv.AppendInt(b, s.Seq, 10)
	return append(b, `}}`...), nil
}

// Again returns the message that tells it in a replay.
func (s *Standing) Again(replay string, position int64) (Retold, error) {
	data, err := s.Data()
	if err != nil {
		return Retold{}, err
	}
	return Retold{
		Replay: replay, Position: position, ID: s.ID(), Data: data,
		Subject: ReplaySubject(replay, s.AppID, StandingWord, s.User.ID),
	}, nil
}

func (s *Standing) check() error {
	if s.User.ID == "" || s.Status != Online && s.Status != Offline || s.Seq < 0 || s.At.IsZero() || !tellable(s.At) {
		return fmt.Errorf("nothing that can be told: user %q %s at %s behind event %d", s.User.ID, s.Status, s.At, s.Seq)
	}
	return nil
}

// ParseStanding reads what [Standing.Data] writes, the user's number included,
// which its id tells. Fields that it does not know are passed over; another type,
// or an id that contradicts the data, is an error.
func ParseStanding(data []byte) (Standing, error) {
	var w struct {
		ID   string `json:"id"`
		Type string `json:"type"`
		Data struct {
			AppID  uint32    `json:"app_id"`
			UserID string    `json:"user_id"`
			Status Status    `json:"status"`
			At     time.Time `json:"at"`
			Seq    int64     `json:"at_seq"`
		} `json:"data"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return Standing{}, fmt.Errorf("read state: %w", err)
	}
	if w.Type != StandingType {
		return Standing{}, fmt.Errorf("read state %q: type %q is not %q", w.ID, w.Type, StandingType)
	}
	log, no := logAndNumber(w.ID)
	s := Standing{
		AppID: w.Data.AppID, Log: log, User: User{No: no, ID: w.Data.UserID}, Status: w.Data.Status,
		Seq: w.Data.Seq, At: Instant(w.Data.At),
	}
	if s.ID() != w.ID {
		return Standing{}, fmt.Errorf("read state: id %q contradicts app %d and event %d", w.ID, s.AppID, s.Seq)
	}
	if err := s.check(); err != nil {
		return Standing{}, fmt.Errorf("read state %q: %w", w.ID, err)
	}
	return s, nil
}

// logAndNumber reads the second and the last part of an id, as far as it has them.
func logAndNumber(id string) (log string, no uint32) {
	parts := strings.Split(id, "-")
	if len(parts) < 2 {
		return "", 0
	}
	n, err := strconv.ParseUint(parts[len(parts)-1], 10, 32)
	if err != nil {
		return parts[1], 0
	}
	return parts[1], uint32(n)
}

// appendHead writes a CloudEvent up to its data.
func appendHead(b []byte, app, id, kind, subject, at string) []byte {
	b = append(b, `{"specversion":"1.0","id":"`+id+`","source":"/zim/`+app+`","type":"`+kind+`","subject":`...)
	b = appendJSONString(b, subject)
	return append(b, `,"time":"`+at+`","datacontenttype":"application/json","data":`...)
}
