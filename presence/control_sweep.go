package presence

import (
	"errors"
	"fmt"
	"time"
)

const (
	// SweepWord is the last token of the subject of a [SweepTold].
	SweepWord = "sweep"
	// SweepType is the CloudEvents type of a [SweepTold].
	SweepType = "presence.sweep.v1"
)

// SweepTold tells that a sweep has started, or has finished. One that finished
// complete is a watermark: everybody who is not missed was seen after StartedAt, and
// of what was seen nothing is untold in the event stream but what is held. How many
// may be missed for it to count is for its reader to say.
type SweepTold struct {
	Mark
	// Sweep is the number of the sweep. The next one has it again where the sweep
	// left nothing in the ledger.
	Sweep     int64
	StartedAt time.Time // in whole microseconds
	// Watched is whom it asks about.
	Watched int

	// FinishedAt is zero in one that has started: nothing below is told then.
	FinishedAt time.Time
	// Complete: everybody was asked about, somebody was answered, where anybody is
	// watched, and a snapshot is stored.
	Complete bool
	// Seen were answered, and Missed were not, or not in a way that was believed.
	Seen, Missed int
	// Held are changes that wait to be confirmed, RemovalsHeld users who are gone
	// from the watchlist and not removed yet.
	Held, RemovalsHeld int
	// Transitions counts the events that the sweep added, of every kind.
	Transitions int
	// Requests were sent, and BudgetUsed is the share of what the rate allowed in this
	// time that they took together with those that asked users again: 0 to 1, told
	// with four decimals.
	Requests   int
	BudgetUsed float64
	// Seq is the ledger's newest event at the end: it and all before it stand in the
	// event stream.
	Seq int64
}

// The phases of a [SweepTold], as they are told.
const (
	phaseStarted  = "started"
	phaseFinished = "finished"
)

// Finished tells whether the sweep has finished.
func (s *SweepTold) Finished() bool { return !s.FinishedAt.IsZero() }

// Subject returns the NATS subject.
func (s *SweepTold) Subject() string { return ControlSubject(s.AppID, SweepWord) }

// Data returns the CloudEvents 1.0 structured JSON.
func (s *SweepTold) Data() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("sweep %d of app %d: %w", s.Sweep, s.AppID, err)
	}
	at, phase := s.StartedAt, phaseStarted
	if s.Finished() {
		at, phase = s.FinishedAt, phaseFinished
	}
	w := beginControl(s.AppID, s.ID(), SweepType, at)
	w.text("phase", phase)
	w.number("sweep", s.Sweep)
	w.instant("started_at", s.StartedAt)
	w.number("watched", int64(s.Watched))
	if s.Finished() {
		w.instant("finished_at", s.FinishedAt)
		w.number("duration_ms", s.FinishedAt.Sub(s.StartedAt).Milliseconds())
		w.truth("complete", s.Complete)
		w.number("seen", int64(s.Seen))
		w.number("missed", int64(s.Missed))
		w.number("held", int64(s.Held))
		w.number("removals_held", int64(s.RemovalsHeld))
		w.number("transitions", int64(s.Transitions))
		w.number("requests", int64(s.Requests))
		w.share("budget_used", s.BudgetUsed)
		w.number("seq", s.Seq)
	}
	return w.end(), nil
}

func (s *SweepTold) check() error {
	if err := s.Mark.check(); err != nil {
		return err
	}
	if !told(s.StartedAt) || s.Finished() && (!tellable(s.FinishedAt) || s.FinishedAt.Before(s.StartedAt)) {
		return errors.New("no times that can be told")
	}
	if s.Sweep < 1 || min(s.Watched, s.Seen, s.Missed, s.Held, s.RemovalsHeld, s.Transitions, s.Requests) < 0 || s.Seq < 0 {
		return errors.New("a count is negative, or there is no number")
	}
	if s.Complete && s.Seen+s.Missed < s.Watched {
		return fmt.Errorf("complete, and of %d users %d were seen and %d missed", s.Watched, s.Seen, s.Missed)
	}
	if s.Complete && s.Seen == 0 && s.Watched > 0 {
		return fmt.Errorf("complete, and of %d users nobody was seen", s.Watched)
	}
	if !(s.BudgetUsed >= 0 && s.BudgetUsed <= 1) {
		return fmt.Errorf("%g of the budget were used", s.BudgetUsed)
	}
	return nil
}

// ParseSweepTold reads what [SweepTold.Data] writes. Fields that it does not know
// are passed over; another type or phase, or figures that cannot be, are an error.
func ParseSweepTold(data []byte) (SweepTold, error) {
	var d struct {
		AppID        uint32    `json:"app_id"`
		Phase        string    `json:"phase"`
		Sweep        int64     `json:"sweep"`
		StartedAt    time.Time `json:"started_at"`
		Watched      int       `json:"watched"`
		FinishedAt   time.Time `json:"finished_at"`
		Complete     bool      `json:"complete"`
		Seen         int       `json:"seen"`
		Missed       int       `json:"missed"`
		Held         int       `json:"held"`
		RemovalsHeld int       `json:"removals_held"`
		Transitions  int       `json:"transitions"`
		Requests     int       `json:"requests"`
		BudgetUsed   float64   `json:"budget_used"`
		Seq          int64     `json:"seq"`
	}
	id, err := readControl(data, SweepType, &d)
	if err != nil {
		return SweepTold{}, err
	}
	s := SweepTold{Sweep: d.Sweep, StartedAt: Instant(d.StartedAt), Watched: d.Watched}
	if d.Phase == phaseFinished {
		s.FinishedAt, s.Complete, s.Seen, s.Missed = Instant(d.FinishedAt), d.Complete, d.Seen, d.Missed
		s.Held, s.RemovalsHeld, s.Transitions, s.Requests = d.Held, d.RemovalsHeld, d.Transitions, d.Requests
		s.BudgetUsed, s.Seq = d.BudgetUsed, d.Seq
	}
	if s.Mark, err = parseMark(d.AppID, id); err == nil {
		err = s.check()
	}
	if err == nil && d.Phase != phaseStarted && (d.Phase != phaseFinished || !s.Finished()) {
		err = fmt.Errorf("phase %q", d.Phase)
	}
	if err != nil {
		return SweepTold{}, fmt.Errorf("read %s %q: %w", SweepType, id, err)
	}
	return s, nil
}
