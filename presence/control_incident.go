package presence

import (
	"errors"
	"fmt"
	"time"
)

const (
	// IncidentWord is the last token of the subject of an [IncidentTold].
	IncidentWord = "incident"
	// IncidentType is the CloudEvents type of an [IncidentTold].
	IncidentType = "presence.incident.v1"

	// OutcomeReleased: what was held back is true, and is told.
	OutcomeReleased = "released"
	// OutcomeDiscarded: it was not believed, and nothing of it is told.
	OutcomeDiscarded = "discarded"
)

// IncidentTold tells of answers that said of too many users at once that they had
// gone: what became of them when some were asked about again.
type IncidentTold struct {
	Mark
	// Incident counts the incidents of the term from 1.
	Incident int64
	// BeganAt and EndedAt are whole microseconds.
	BeganAt, EndedAt time.Time
	// Outcome is [OutcomeReleased] or [OutcomeDiscarded].
	Outcome string
	// Flips are the users of whom the answers said that they had gone when the
	// incident began, and Share is which part they were of those answered who were
	// online: 0 to 1, told with four decimals. Decided is how many the outcome is
	// about: others came or went meanwhile.
	Flips   int
	Share   float64
	Decided int
	// Rounds is how often some were asked about again. The rest is of the last round:
	// how many who had flipped were asked about, answered, and offline; and the same
	// of users who were known to be online, the canaries.
	Rounds                                           int
	SampleAsked, SampleAnswered, SampleOffline       int
	CanariesAsked, CanariesAnswered, CanariesOffline int
}

// Subject returns the NATS subject.
func (i *IncidentTold) Subject() string { return ControlSubject(i.AppID, IncidentWord) }

// Data returns the CloudEvents 1.0 structured JSON.
func (i *IncidentTold) Data() ([]byte, error) {
	if err := i.check(); err != nil {
		return nil, fmt.Errorf("incident %d of app %d: %w", i.Incident, i.AppID, err)
	}
	w := beginControl(i.AppID, i.ID(), IncidentType, i.EndedAt)
	w.number("incident", i.Incident)
	w.instant("began_at", i.BeganAt)
	w.instant("ended_at", i.EndedAt)
	w.text("outcome", i.Outcome)
	w.number("flips", int64(i.Flips))
	w.share("share", i.Share)
	w.number("decided", int64(i.Decided))
	w.number("rounds", int64(i.Rounds))
	w.number("sample_asked", int64(i.SampleAsked))
	w.number("sample_answered", int64(i.SampleAnswered))
	w.number("sample_offline", int64(i.SampleOffline))
	w.number("canaries_asked", int64(i.CanariesAsked))
	w.number("canaries_answered", int64(i.CanariesAnswered))
	w.number("canaries_offline", int64(i.CanariesOffline))
	return w.end(), nil
}

func (i *IncidentTold) check() error {
	if err := i.Mark.check(); err != nil {
		return err
	}
	if !told(i.BeganAt) || !told(i.EndedAt) || i.EndedAt.Before(i.BeganAt) {
		return errors.New("no times that can be told")
	}
	if i.Outcome != OutcomeReleased && i.Outcome != OutcomeDiscarded {
		return fmt.Errorf("no such outcome: %q", i.Outcome)
	}
	if i.Incident < 1 || min(i.Flips, i.Decided, i.Rounds, i.SampleOffline, i.CanariesOffline) < 0 ||
		i.SampleOffline > i.SampleAnswered || i.SampleAnswered > i.SampleAsked ||
		i.CanariesOffline > i.CanariesAnswered || i.CanariesAnswered > i.CanariesAsked {
		return errors.New("a count cannot be, or there is no number")
	}
	if !(i.Share >= 0 && i.Share <= 1) {
		return fmt.Errorf("a share of %g", i.Share)
	}
	return nil
}

// ParseIncidentTold reads what [IncidentTold.Data] writes. Fields that it does not
// know are passed over; another type or outcome, or figures that cannot be, are an
// error.
func ParseIncidentTold(data []byte) (IncidentTold, error) {
	var d struct {
		AppID            uint32    `json:"app_id"`
		Incident         int64     `json:"incident"`
		BeganAt          time.Time `json:"began_at"`
		EndedAt          time.Time `json:"ended_at"`
		Outcome          string    `json:"outcome"`
		Flips            int       `json:"flips"`
		Share            float64   `json:"share"`
		Decided          int       `json:"decided"`
		Rounds           int       `json:"rounds"`
		SampleAsked      int       `json:"sample_asked"`
		SampleAnswered   int       `json:"sample_answered"`
		SampleOffline    int       `json:"sample_offline"`
		CanariesAsked    int       `json:"canaries_asked"`
		CanariesAnswered int       `json:"canaries_answered"`
		CanariesOffline  int       `json:"canaries_offline"`
	}
	id, err := readControl(data, IncidentType, &d)
	if err != nil {
		return IncidentTold{}, err
	}
	i := IncidentTold{
		Incident: d.Incident, BeganAt: Instant(d.BeganAt), EndedAt: Instant(d.EndedAt), Outcome: d.Outcome,
		Flips: d.Flips, Share: d.Share, Decided: d.Decided, Rounds: d.Rounds,
		SampleAsked: d.SampleAsked, SampleAnswered: d.SampleAnswered, SampleOffline: d.SampleOffline,
		CanariesAsked: d.CanariesAsked, CanariesAnswered: d.CanariesAnswered, CanariesOffline: d.CanariesOffline,
	}
	if i.Mark, err = parseMark(d.AppID, id); err == nil {
		err = i.check()
	}
	if err != nil {
		return IncidentTold{}, fmt.Errorf("read %s %q: %w", IncidentType, id, err)
	}
	return i, nil
}
