package main

import (
	"fmt"
	"io"
	"time"

	"github.com/zim-presence/poller/internal/poll"
)

// sweepLine tells how far a sweep is: share, users a second, time left.
type sweepLine struct {
	progress *progress
	begun    time.Time // of the asking
}

func newSweepLine(out io.Writer) *sweepLine { return &sweepLine{progress: newProgress(out, "sweep")} }

// tell shows a report, if a line is due.
func (s *sweepLine) tell(r poll.Report) {
	if s.begun.IsZero() {
		s.begun = time.Now()
	}
	s.progress.show(func() string { return sweepText(r, time.Since(s.begun)) })
	if !r.Finished.IsZero() {
		s.progress.last(sweepText(r, time.Since(s.begun)))
	}
}

// aside is where the log of the same terminal goes.
func (s *sweepLine) aside() io.Writer { return aside{s.progress} }

func (s *sweepLine) end() { s.progress.end() }

// sweepText is the line itself, after so long a time of asking.
func sweepText(r poll.Report, asking time.Duration) string {
	done := r.Seen + r.MissedTotal()
	text := fmt.Sprintf("sweep %d: %d of %d users", r.Sweep, done, r.Watched)
	if r.Watched > 0 {
		text += fmt.Sprintf(", %d %%", 100*done/r.Watched)
	}
	if perSecond := float64(done) / asking.Seconds(); done > 0 && asking > 0 {
		left := time.Duration(float64(r.Watched-done) / perSecond * float64(time.Second))
		text += fmt.Sprintf(", %.0f/s, %s left", perSecond, left.Round(time.Second))
	}
	if missed := r.MissedTotal(); missed > 0 {
		text += fmt.Sprintf(", %d missed", missed)
	}
	return text
}
