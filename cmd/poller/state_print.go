package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/zim-presence/poller/presence"
)

// staleAfter is how long after the last sweep it goes without saying that changes since then are not known.
const staleAfter = 2 * time.Minute

// explain says what the state rests on.
func (r *reading) explain(w io.Writer) {
	from := "the beginning"
	if r.base.Sweep > 0 {
		from = fmt.Sprintf("the snapshot of sweep %d, finished %s,", r.base.Sweep, rfc(r.base.Finished))
	}
	fmt.Fprintf(w, "app %d at %s: from %s and %s behind it\n", r.app, rfc(r.at), from, plural(int64(r.applied), "event"))
	switch {
	case r.dropped:
		fmt.Fprintf(w, "the events behind that snapshot were dropped: this is the state as of %s\n", rfc(r.asOf()))
	case r.next.Sweep == 0 && r.base.Sweep > 0 && r.at.Sub(r.base.Finished) > staleAfter:
		fmt.Fprintf(w, "newer than the last sweep: changes since then may be missing\n")
	case r.base.Sweep == 0:
		fmt.Fprintf(w, "no complete sweep had ended by then: who had not been answered yet is missing\n")
	}
	if r.lost > 0 {
		fmt.Fprintf(w, "gone, as somebody accepted who mended the ledger: %s behind it; whom they were of may be told otherwise than it was\n", plural(r.lost, "event"))
	}
	for _, id := range r.chosen {
		if _, known := r.numbers[id]; !known {
			fmt.Fprintf(w, "never watched, or erased: %s\n", id)
		}
	}
	if r.counts.Erased > 0 {
		fmt.Fprintf(w, "erased since, and without a name: %d\n", r.counts.Erased)
	}
}

// writeCounts writes a line each. Behind w is a buffer, whose flush tells every error; so it is below.
func (r *reading) writeCounts(w io.Writer) {
	c := &r.counts
	fmt.Fprintf(w, "online %d\n", c.Online)
	if c.Offline != nil {
		fmt.Fprintf(w, "offline %d\n", *c.Offline)
	}
	if c.Unknown != nil {
		fmt.Fprintf(w, "unknown %d\n", *c.Unknown)
	}
	if c.Erased > 0 {
		fmt.Fprintf(w, "erased %d\n", c.Erased)
	}
}

// writeCSV writes a header and a line each.
func (r *reading) writeCSV(w *bufio.Writer) {
	header, chosen := "user_id,status\n", len(r.chosen) > 0
	if chosen {
		header = "user_id,status,since,seq\n"
	}
	_, _ = w.WriteString(header)
	for row := range r.rows() {
		line := append(quoted(w.AvailableBuffer(), row.id), ',')
		line = append(line, row.status.String()...)
		if chosen {
			since, seq := r.cause(row)
			line = append(line, ',')
			if since != nil {
				line = since.AppendFormat(line, time.RFC3339Nano)
			}
			line = append(line, ',')
			if seq > 0 {
				line = strconv.AppendInt(line, seq, 10)
			}
		}
		_, _ = w.Write(append(line, '\n'))
	}
}

// quoted appends a field of csv. No legal character of an id needs quotes; what another program wrote might.
func quoted(line []byte, id string) []byte {
	if !strings.ContainsAny(id, ",\"\r\n") && strings.TrimSpace(id) == id {
		return append(line, id...)
	}
	var field bytes.Buffer
	w := csv.NewWriter(&field)
	_ = w.Write([]string{id}) // to a buffer in memory
	w.Flush()
	return append(line, bytes.TrimSuffix(field.Bytes(), []byte("\n"))...)
}

// cause returns what is known of the event that brought a user's status: nil and 0 where it is not there any more.
func (r *reading) cause(row userState) (since *time.Time, seq int64) {
	e, known := r.brought[row.no]
	if !known || e.To != row.status {
		return nil, 0
	}
	return &e.ObservedAt, e.Seq
}

// stateObject is what -o json writes, but for the users, who stand behind it in the same object.
type stateObject struct {
	AppID    uint32      `json:"app_id"`
	At       time.Time   `json:"at"`
	AsOf     *time.Time  `json:"as_of"` // everybody had been asked about up to then; null before the first complete sweep
	Snapshot *stateSweep `json:"snapshot"`
	Events   int         `json:"events"`  // behind the snapshot, in the state
	Dropped  bool        `json:"dropped"` // the events behind the snapshot, by retention
	Lost     int64       `json:"lost"`    // of the events behind it, in a gap that was accepted
	stateCounts
}

type stateSweep struct {
	Sweep    int64     `json:"sweep"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Seq      int64     `json:"seq"`
}

type stateUser struct {
	UserID string          `json:"user_id"`
	Status presence.Status `json:"status"`
	Since  *time.Time      `json:"since,omitempty"`
	Seq    int64           `json:"seq,omitempty"`
}

// writeJSON writes one object, a line a user. What it encodes has no error but the writer's.
func (r *reading) writeJSON(w io.Writer) error {
	o := stateObject{AppID: r.app, At: r.at, Events: r.applied, Dropped: r.dropped, Lost: r.lost, stateCounts: r.counts}
	if asOf := r.asOf(); !asOf.IsZero() {
		o.AsOf = &asOf
	}
	if r.base.Sweep > 0 {
		o.Snapshot = &stateSweep{r.base.Sweep, r.base.Started, r.base.Finished, r.base.Seq}
	}
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false)
	if err := e.Encode(o); err != nil {
		return err
	}
	line.Truncate(line.Len() - len("}\n"))
	line.WriteString(`,"users":[`)
	separator := "\n"
	for row := range r.rows() {
		line.WriteString(separator)
		separator = ",\n"
		since, seq := r.cause(row)
		if err := e.Encode(stateUser{row.id, row.status, since, seq}); err != nil {
			return err
		}
		line.Truncate(line.Len() - len("\n"))
		if _, err := line.WriteTo(w); err != nil {
			return err
		}
	}
	line.WriteString("\n]}\n")
	_, err := line.WriteTo(w)
	return err
}
