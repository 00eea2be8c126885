package main

import (
	"fmt"
	"iter"
	"strings"
	"unicode"
)

// The colours of the verdicts on a terminal.
const (
	colourOff    = "\x1b[0m"
	colourRed    = "\x1b[31m"
	colourGreen  = "\x1b[32m"
	colourYellow = "\x1b[33m"
	colourDim    = "\x1b[2m"
)

// leastColumn is how wide the names of checks are shown at least.
const leastColumn = 12

// colourful tells whether the standard output shows colours, and is asked for them.
func colourful(g *globals) bool {
	env := environment(g.Environ)
	return env["NO_COLOR"] == "" && env["TERM"] != "dumb" && onTerminal(g.Stdout)
}

// text is the report for people: a line a check, in groups.
func (r doctorReport) text(colours bool) string {
	var b strings.Builder
	widest := leastColumn
	for _, f := range r.Findings {
		widest = max(widest, len(f.Check))
	}
	before := ""
	for f := range r.lines() {
		if title := f.title(); title != before {
			if before != "" {
				b.WriteByte('\n')
			}
			b.WriteString(title + "\n")
			before = title
		}
		if strings.Contains(f.Check, ", ") {
			fmt.Fprintf(&b, "  %s  %s: %s\n", f.coloured(colours), f.Check, legibly(f.Text, widest+13))
			continue
		}
		fmt.Fprintf(&b, "  %s  %-*s  %s\n", f.coloured(colours), widest, f.Check, legibly(f.Text, widest+13))
		if f.Mend != "" {
			fmt.Fprintf(&b, "  %*s  mend: %s\n", widest+9, "", legibly(f.Mend, widest+13))
		}
	}
	fmt.Fprintf(&b, "\n%s\n", r.sum())
	return b.String()
}

// lines are the findings as they are shown: what was not tried for one and the same reason stands together.
func (r doctorReport) lines() iter.Seq[finding] {
	return func(yield func(finding) bool) {
		for i := 0; i < len(r.Findings); i++ {
			f := r.Findings[i]
			for f.Verdict == verdictUntried && i+1 < len(r.Findings) {
				next := r.Findings[i+1]
				if next.Verdict != verdictUntried || next.Text != f.Text || next.title() != f.title() {
					break
				}
				f.Check += ", " + next.Check
				i++
			}
			if !yield(f) {
				return
			}
		}
	}
}

// title is the line above a group.
func (f finding) title() string {
	if f.App != 0 {
		return fmt.Sprintf("%s %d", f.Group, f.App)
	}
	return f.Group
}

// coloured is the verdict, all of one width.
func (f finding) coloured(colours bool) string {
	word := f.Verdict
	if word == verdictUntried {
		word = "-"
	}
	word = fmt.Sprintf("%-7s", word)
	if !colours {
		return word
	}
	colour := map[string]string{verdictOK: colourGreen, verdictWarning: colourYellow, verdictFault: colourRed, verdictUntried: colourDim}
	return colour[f.Verdict] + word + colourOff
}

// legibly leaves out what moves the cursor: servers may have said anything. Further lines are put below the first.
func legibly(text string, indent int) string {
	text = strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) {
			return '?'
		}
		return r
	}, strings.TrimSpace(text))
	return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", indent))
}

// sum is the last line.
func (r doctorReport) sum() string {
	parts := []string{plural(int64(len(r.Findings)), "check")}
	for _, part := range []struct {
		n    int
		word string
	}{{r.Faults, "fault"}, {r.Warnings, "warning"}} {
		if part.n > 0 {
			parts = append(parts, plural(int64(part.n), part.word))
		}
	}
	if r.Untried > 0 {
		parts = append(parts, fmt.Sprintf("%d not tried", r.Untried))
	}
	head := "all well: "
	switch {
	case !r.OK:
		head = "broken: "
	case r.Untried > 0:
		head = "all that was tried is well: "
	}
	return head + strings.Join(parts, ", ")
}
