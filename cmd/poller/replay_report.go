package main

import (
	"fmt"
	"io"
	"time"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/replay"
	"github.com/zim-presence/poller/internal/stream"
)

// replayReport is what poller replay -o json writes when everything is told, and poller replay list of each.
type replayReport struct {
	AppID    uint32     `json:"app_id"`
	Name     string     `json:"name"`
	Choice   string     `json:"choice,omitempty"`
	Stream   string     `json:"stream,omitempty"` // none with --core
	First    int64      `json:"first_seq"`
	Last     int64      `json:"last_seq"`
	ToldSeq  int64      `json:"told_seq"`           // of the events, up to which it is told
	Told     int64      `json:"told"`               // messages
	Erased   int64      `json:"erased,omitempty"`   // events passed over in this run because they are erased
	Nameless int64      `json:"nameless,omitempty"` // users passed over in this run because they were erased
	Untold   int64      `json:"untold,omitempty"`   // events left out because they had not been told live when it was started
	Started  time.Time  `json:"started_at"`
	Moved    time.Time  `json:"moved_at"`
	Ended    *time.Time `json:"ended_at"` // null while it is in progress
	Holder   string     `json:"holder,omitempty"`
}

func newReplayReport(app uint32, row ledger.Replay, r replay.Report) replayReport {
	report := replayReport{
		AppID: app, Name: row.Name, First: row.First, Last: row.Last, ToldSeq: r.Seq, Told: r.Told, Erased: r.Erased, Nameless: r.Nameless,
		Started: row.Started, Moved: row.Moved, Holder: row.Holder,
	}
	if !row.Ended.IsZero() {
		report.Ended = &row.Ended
	}
	if asked, err := readAsked(row); err == nil {
		report.Choice, report.Untold = asked.String(), asked.Untold
		if !asked.Core {
			report.Stream = stream.ReplayStreamName(app, row.Name)
		}
	}
	return report
}

func (c *replayTellCmd) print(g *globals, r replayReport) error {
	if c.Output == "json" {
		return writeJSON(g.Stdout, r)
	}
	return r.text(g.Stdout)
}

func (r replayReport) text(w io.Writer) error {
	text := fmt.Sprintf("replay %s: %d messages told", r.Name, r.Told)
	if r.Stream != "" {
		text += ", in the stream " + r.Stream
	}
	if r.Last >= r.First {
		text += fmt.Sprintf("; events %d to %d", r.First, r.Last)
	} else {
		text += "; no event is in its range"
	}
	if r.Erased > 0 {
		text += fmt.Sprintf("; erased events passed over: %d", r.Erased)
	}
	if r.Nameless > 0 {
		text += fmt.Sprintf("; erased users passed over: %d", r.Nameless)
	}
	if r.Untold > 0 {
		text += fmt.Sprintf("; left out, as they had not been told live when it was started: %d", r.Untold)
	}
	if r.Ended != nil {
		text += "; ended " + rfc(*r.Ended)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// warnUnknown names who was never watched, or was erased.
func warnUnknown(w io.Writer, unknown []string) {
	for _, id := range unknown[:min(10, len(unknown))] {
		fmt.Fprintf(w, "never watched, or erased: %s\n", id)
	}
	if more := len(unknown) - 10; more > 0 {
		fmt.Fprintf(w, "and %d more\n", more)
	}
}
