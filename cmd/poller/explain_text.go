package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// text is the report for a person: sentences first, then the evidence, each list in the order of time.
func (r *explainReport) text() string {
	var b strings.Builder
	for _, sentence := range r.Summary {
		b.WriteString(sentence + "\n")
	}
	if d := r.Daemon.Story; d != nil {
		d.tables(&b)
	}
	r.eventTable(&b)
	if len(r.Sweeps) > 0 {
		table(&b, "newest complete sweeps", "SWEEP\tSTARTED\tFINISHED\tTHIS USER", func(row func(...string)) {
			for _, s := range r.Sweeps {
				row(strconv.FormatInt(s.Sweep, 10), micro(s.Started), micro(s.Finished), s.brief())
			}
		})
	}
	return strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) {
			return '?' // whoever answered at the address may have said anything
		}
		return r
	}, b.String())
}

func (d *daemonStory) tables(b *strings.Builder) {
	if len(d.Answers) > 0 {
		title := fmt.Sprintf("what ZIM answered, as %s remembers it", d.Owner)
		table(b, title, "ASKED\tTOOK\tFOR\tUSERS\tHTTP\tCODE\tREQUEST\tTHIS USER", func(row func(...string)) {
			same := 0
			for i := range d.Answers {
				a := &d.Answers[i]
				if d.dull(i) {
					same++
					continue
				}
				if same > 0 {
					row("…", "", "", "", "", "", "", fmt.Sprintf("%d more that said the same", same))
					same = 0
				}
				row(micro(a.AskedAt), a.At.Sub(a.AskedAt).Round(time.Millisecond).String(), a.Lane, strconv.Itoa(a.Asked),
					dashed(a.HTTP == 0, strconv.Itoa(a.HTTP)), codeText(a), dashed(a.RequestID == "", a.RequestID), brief(a))
			}
		})
	}
	if len(d.Suppressed) > 0 {
		table(b, "answered, and not told", "SEEN\tTO\tDROPPED\tWHY", func(row func(...string)) {
			for _, s := range d.Suppressed {
				row(microOr(s.SeenAt), statusWords(s.Status, s.Detail), micro(s.At), suppressedWhy(s.Why))
			}
		})
	}
	if len(d.Incidents) > 0 {
		table(b, "incidents of the app", "INCIDENT\tBEGAN\tENDED\tUSERS\tSHARE\tOUTCOME", func(row func(...string)) {
			for _, i := range d.Incidents {
				ended := "-"
				if i.EndedAt != nil {
					ended = micro(*i.EndedAt)
				}
				row(strconv.Itoa(i.Incident), micro(i.BeganAt), ended, strconv.Itoa(i.Flips), fmt.Sprintf("%.0f %%", 100*i.Share), dashed(i.Outcome == "", i.Outcome))
			}
		})
	}
}

func (r *explainReport) eventTable(b *strings.Builder) {
	if len(r.Events) == 0 {
		return
	}
	title := "events"
	switch {
	case r.Older:
		title = fmt.Sprintf("newest events; --limit %d shows more", 5*len(r.Events))
	case r.Dropped:
		title = "events; retention has dropped those before"
	}
	table(b, title, "SEQ\tKIND\tFROM\tTO\tAFTER\tOBSERVED\tCONFIRMED\tRECORDED\tSWEEP\tIN "+r.Stream.Name, func(row func(...string)) {
		for i := range r.Events {
			e := &r.Events[i]
			place := dashed(e.Told == "", e.Told)
			if e.StreamSeq > 0 {
				place = strconv.FormatUint(e.StreamSeq, 10)
				if e.Told != "there" {
					place += ": " + e.Told
				}
			}
			row(strconv.FormatInt(e.Seq, 10), e.Kind, e.From, statusWords(e.To, e.Detail), microOr(e.After), micro(e.ObservedAt), microOr(e.ConfirmedAt),
				micro(e.RecordedAt), strconv.FormatInt(e.Sweep, 10), place)
		}
	})
}

// table writes a title, a head and rows.
func table(b *strings.Builder, title, head string, fill func(row func(...string))) {
	fmt.Fprintf(b, "\n%s:\n", title)
	out := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, head)
	fill(func(cells ...string) { fmt.Fprintln(out, strings.Join(cells, "\t")) })
	_ = out.Flush() // into memory
}

// dull tells whether an answer is like those before and behind it, and none of the newest.
func (d *daemonStory) dull(i int) bool {
	const newest = 3
	if i == 0 || i >= len(d.Answers)-newest {
		return false
	}
	said := brief(&d.Answers[i])
	return said == brief(&d.Answers[i-1]) && said == brief(&d.Answers[i+1])
}

// brief is what a request brought, in a word or two.
func brief(a *daemonAnswer) string {
	switch {
	case a.Status != "":
		return statusWords(a.Status, a.Detail)
	case a.Missed != "":
		return "missed: " + a.Missed
	case a.Result == "0":
		return "to be asked again"
	}
	return "nothing: " + a.Result
}

// micro is a time as the ledger has it.
func micro(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

func microOr(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return micro(*t)
}

func dashed(none bool, text string) string {
	if none {
		return "-"
	}
	return text
}
