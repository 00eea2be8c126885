package presence

import (
	"errors"
	"fmt"
	"time"
)

const (
	// LeaseWord is the last token of the subject of a [LeaseTold].
	LeaseWord = "lease"
	// LeaseType is the CloudEvents type of a [LeaseTold].
	LeaseType = "presence.lease.v1"
)

// LeaseTold tells who polls an app. A holder that was killed says nothing: a taken
// one with a higher epoch ends every term before it. Epochs may be left out, where
// somebody held the lease for another work than polling.
type LeaseTold struct {
	Mark
	// Owner names the process, for people; not empty.
	Owner string
	// Released: the holder has stopped polling and is about to give the lease back;
	// else it has just taken it.
	Released bool
	// At is in whole microseconds.
	At time.Time
}

// The states of a [LeaseTold], as they are told.
const (
	stateTaken    = "taken"
	stateReleased = "released"
)

// Subject returns the NATS subject.
func (l *LeaseTold) Subject() string { return ControlSubject(l.AppID, LeaseWord) }

// Data returns the CloudEvents 1.0 structured JSON.
func (l *LeaseTold) Data() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("lease of app %d: %w", l.AppID, err)
	}
	state := stateTaken
	if l.Released {
		state = stateReleased
	}
	w := beginControl(l.AppID, l.ID(), LeaseType, l.At)
	w.number("epoch", l.Epoch)
	w.text("owner", l.Owner)
	w.text("state", state)
	w.instant("at", l.At)
	return w.end(), nil
}

func (l *LeaseTold) check() error {
	if err := l.Mark.check(); err != nil {
		return err
	}
	if !told(l.At) || l.Owner == "" {
		return errors.New("nobody, or no time that can be told")
	}
	return nil
}

// ParseLeaseTold reads what [LeaseTold.Data] writes. Fields that it does not know
// are passed over; another type or state, or an id that contradicts the data, is an
// error.
func ParseLeaseTold(data []byte) (LeaseTold, error) {
	var d struct {
		AppID uint32    `json:"app_id"`
		Epoch int64     `json:"epoch"`
		Owner string    `json:"owner"`
		State string    `json:"state"`
		At    time.Time `json:"at"`
	}
	id, err := readControl(data, LeaseType, &d)
	if err != nil {
		return LeaseTold{}, err
	}
	l := LeaseTold{Owner: d.Owner, Released: d.State == stateReleased, At: Instant(d.At)}
	if l.Mark, err = parseMark(d.AppID, id); err == nil {
		err = l.check()
	}
	switch {
	case err != nil:
	case l.Epoch != d.Epoch:
		err = fmt.Errorf("epoch %d contradicts the id", d.Epoch)
	case d.State != stateTaken && !l.Released:
		err = fmt.Errorf("state %q", d.State)
	}
	if err != nil {
		return LeaseTold{}, fmt.Errorf("read %s %q: %w", LeaseType, id, err)
	}
	return l, nil
}
