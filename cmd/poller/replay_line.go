package main

import (
	"fmt"
	"io"
	"time"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/replay"
)

// replayLine tells how far a replay is: messages, messages a second, share of the range.
type replayLine struct {
	*progress
	name  string
	begun time.Time // of the telling
}

func newReplayLine(out io.Writer, name string) *replayLine {
	return &replayLine{progress: newProgress(out, "replay"), name: name}
}

// tell shows a report, if a line is due.
func (l *replayLine) tell(row ledger.Replay, r replay.Report) {
	if l.begun.IsZero() {
		l.begun = time.Now()
	}
	l.show(func() string { return replayText(l.name, row, r, time.Since(l.begun)) })
}

// aside is where the log of the same terminal goes.
func (l *replayLine) aside() io.Writer { return aside{l.progress} }

// replayText is the line itself, after so long a time of telling.
func replayText(name string, row ledger.Replay, r replay.Report, telling time.Duration) string {
	text := fmt.Sprintf("replay %s: %d messages", name, r.Told)
	if telling > 0 && r.Now > 0 {
		text += fmt.Sprintf(", %.0f/s", float64(r.Now)/telling.Seconds())
	}
	if r.Seq >= row.First && r.Seq < row.Last {
		part := portion(r.Seq-row.First+1, row.Last-row.First+1)
		text += fmt.Sprintf(", %.0f %%", part*100)
		if begun := portion(max(0, row.ToldSeq-row.First+1), row.Last-row.First+1); part > begun {
			left := time.Duration(float64(telling) * (1 - part) / (part - begun))
			text += fmt.Sprintf(", %s left", left.Round(time.Second))
		}
	}
	return text
}
