package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/zim-presence/poller/internal/audit"
)

// verifyReport is what poller verify -o json writes.
type verifyReport struct {
	AppID uint32 `json:"app_id"`
	Sound bool   `json:"sound"` // all was looked at, and nothing found
	// What was looked at.
	First     int64 `json:"first"` // event
	Last      int64 `json:"last"`
	Events    int   `json:"events"` // in the ledger
	Users     int   `json:"users"`  // who have a state, or an event there
	Snapshots int   `json:"snapshots"`
	Messages  int   `json:"messages"` // of these events in the stream
	Entries   int   `json:"entries"`  // in the bucket
	// StateAndBucket is whether these were looked at: not with --to.
	StateAndBucket bool `json:"state_and_bucket"`
	// What is no damage.
	Untold   int   `json:"untold"`   // events that the stream does not have yet
	Pruned   int64 `json:"pruned"`   // the newest event that retention has dropped
	Accepted int   `json:"accepted"` // events that an adoption went on without
	Erased   int   `json:"erased"`   // events that were erased
	Standing int   `json:"standing"` // messages of erased events that stream and bucket still have
	Awaited  int   `json:"awaited"`  // users whom the bucket has again when they are told again

	Seconds float64         `json:"seconds"`
	Found   []verifyFinding `json:"found"` // one of each kind
}

// verifyFinding is the first finding of a kind.
type verifyFinding struct {
	Kind  string `json:"kind"`
	Count int    `json:"count"` // of this kind
	Key   string `json:"key"`   // event, user, sweep or subject
	Text  string `json:"text"`
}

func newVerifyReport(a *audit.Report, took time.Duration, toTheEnd bool) *verifyReport {
	r := &verifyReport{
		AppID: a.App, Sound: a.Sound(), First: a.First, Last: a.Last, Events: a.Events, Users: a.Users, Snapshots: a.Snapshots,
		Messages: a.Messages, Entries: a.Entries, Untold: a.Untold, Pruned: a.Pruned, Accepted: a.Accepted, Erased: a.Erased,
		Standing: a.Standing, Awaited: a.Awaited, Seconds: took.Seconds(), StateAndBucket: toTheEnd, Found: []verifyFinding{},
	}
	for _, kind := range audit.Kinds() {
		if first, found := a.FirstOf(kind); found {
			r.Found = append(r.Found, verifyFinding{string(kind), a.Count[kind], first.Key, first.Text})
		}
	}
	return r
}

// verdict is an error that says what was found; nil for nothing.
func (r *verifyReport) verdict() error {
	if len(r.Found) == 0 {
		return nil
	}
	kinds := make([]string, len(r.Found))
	for i, f := range r.Found {
		kinds[i] = f.Kind
	}
	return fmt.Errorf("app %d is damaged: %s", r.AppID, strings.Join(kinds, ", "))
}

func (c *verifyCmd) print(g *globals, r *verifyReport) error {
	if c.Output == "json" {
		return writeJSON(g.Stdout, r)
	}
	_, err := fmt.Fprint(g.Stdout, r.text())
	return err
}

func (r *verifyReport) text() string {
	var b strings.Builder
	r.lookedAt(&b)
	for _, note := range []struct {
		n    int64
		text string
	}{
		{r.Pruned, "the newest event that retention has dropped: %d"},
		{int64(r.Untold), "events that the stream does not have yet: %d"},
		{int64(r.Accepted), "events that an adoption went on without: %d"},
		{int64(r.Erased), "events that were erased: %d"},
		{int64(r.Standing), "messages of erased events that the stream and the bucket still have: %d"},
		{int64(r.Awaited), "users whom the bucket has again when they are told again: %d"},
	} {
		if note.n > 0 {
			fmt.Fprintf(&b, note.text+"\n", note.n)
		}
	}
	switch {
	case r.Sound && r.Last < r.First && !r.StateAndBucket:
		b.WriteString("nothing is there to be looked at\n")
	case r.Sound:
		b.WriteString("all agree\n")
	}
	if len(r.Found) > 0 {
		r.table(&b)
	}
	return b.String()
}

// lookedAt says what was.
func (r *verifyReport) lookedAt(b *strings.Builder) {
	fmt.Fprintf(b, "app %d: ", r.AppID)
	if r.Last < r.First {
		b.WriteString("no events")
	} else {
		fmt.Fprintf(b, "events %d to %d", r.First, r.Last)
	}
	rows, snapshots, messages := plural(int64(r.Events), "row"), plural(int64(r.Snapshots), "snapshot"), plural(int64(r.Messages), "message")
	if r.StateAndBucket {
		entries := strconv.Itoa(r.Entries) + " entries"
		if r.Entries == 1 {
			entries = "1 entry"
		}
		fmt.Fprintf(b, "; looked at %s of the ledger, %s, %s, %s of the stream and %s of the bucket in %.1f s\n",
			rows, plural(int64(r.Users), "user"), snapshots, messages, entries, r.Seconds)
		return
	}
	fmt.Fprintf(b, "; looked at %s of the ledger, %s and %s of the stream in %.1f s\nstate and bucket: not looked at (--to)\n",
		rows, snapshots, messages, r.Seconds)
}

// table shows the first finding of each kind, the text of one line a line.
func (r *verifyReport) table(b *strings.Builder) {
	out := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "\nKIND\tFOUND\tFIRST\tWHAT\n")
	for _, f := range r.Found {
		fmt.Fprintf(out, "%s\t%d\t%s\t%s\n", f.Kind, f.Count, f.Key, strings.ReplaceAll(f.Text, "\n", "\n\t\t\t"))
	}
	_ = out.Flush() // into memory
}
