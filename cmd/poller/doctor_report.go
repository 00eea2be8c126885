package main

import (
	"fmt"
	"time"
)

// The verdicts of a trial.
const (
	verdictOK      = "ok"
	verdictWarning = "warning"
	verdictFault   = "fault"
	verdictUntried = "untried"
)

// doctorReport is what poller doctor -o json writes.
type doctorReport struct {
	OK       bool      `json:"ok"` // no faults
	Version  string    `json:"version"`
	At       time.Time `json:"at"` // its beginning
	Seconds  float64   `json:"took_seconds"`
	Faults   int       `json:"faults"`
	Warnings int       `json:"warnings"`
	Untried  int       `json:"untried"`
	Findings []finding `json:"findings"`
}

// finding is what one trial brought.
type finding struct {
	Group   string `json:"group"`
	App     uint32 `json:"app_id,omitempty"`
	Check   string `json:"check"`
	Verdict string `json:"verdict"`
	Text    string `json:"text"`
	Mend    string `json:"mend,omitempty"`
}

// chart collects the findings of one group. One goroutine at a time writes into it.
type chart struct {
	group    string
	app      uint32
	findings []finding
}

func newChart(group string) *chart  { return &chart{group: group} }
func newAppChart(app uint32) *chart { return &chart{group: "app", app: app} }
func (c *chart) apart() *chart      { return &chart{group: c.group, app: c.app} }
func (c *chart) join(others ...*chart) { // in their order
	for _, other := range others {
		c.findings = append(c.findings, other.findings...)
	}
}

func (c *chart) add(check, verdict, text, mend string) {
	c.findings = append(c.findings, finding{c.group, c.app, check, verdict, text, mend})
}

// ok is a check that found nothing wrong.
func (c *chart) ok(check, format string, args ...any) {
	c.add(check, verdictOK, fmt.Sprintf(format, args...), "")
}

// warn is what works, and may not for long, or not as well as it could.
func (c *chart) warn(check, mend, format string, args ...any) {
	c.add(check, verdictWarning, fmt.Sprintf(format, args...), mend)
}

// fault is what is broken.
func (c *chart) fault(check, mend, format string, args ...any) {
	c.add(check, verdictFault, fmt.Sprintf(format, args...), mend)
}

// untried is what was not tried, and why.
func (c *chart) untried(check, format string, args ...any) {
	c.add(check, verdictUntried, fmt.Sprintf(format, args...), "")
}

// allUntried says of each of the checks that it was not tried.
func (c *chart) allUntried(why string, checks ...string) {
	for _, check := range checks {
		c.untried(check, "%s", why)
	}
}

func newDoctorReport(began time.Time, charts []*chart) doctorReport {
	r := doctorReport{Version: versionText(), At: began.UTC().Truncate(time.Microsecond), Findings: []finding{}}
	r.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
	for _, c := range charts {
		r.Findings = append(r.Findings, c.findings...)
	}
	for _, f := range r.Findings {
		switch f.Verdict {
		case verdictFault:
			r.Faults++
		case verdictWarning:
			r.Warnings++
		case verdictUntried:
			r.Untried++
		}
	}
	r.OK = r.Faults == 0
	return r
}
