package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// outageTable is the page for whoever is called at night.
type outageTable struct{ rows []string }

func (o *outageTable) add(m mishap, took time.Duration) {
	check := "stays green"
	switch subject, _, _ := strings.Cut(m.check, "/"); {
	case m.heals:
		check = "green again within seconds"
	case m.ends:
		check = "does not answer"
	case m.check != "":
		check = fmt.Sprintf("`%s` after %.1f s", subject, took.Seconds())
	}
	var alerts []string
	for _, name := range m.alerts {
		alerts = append(alerts, fmt.Sprintf("[%s](operations.md#%s)", name, strings.ToLower(name)))
	}
	alert := strings.Join(alerts, ", ")
	if alert == "" {
		alert = "none"
	}
	mend := m.mend
	if mend != "" {
		mend = "… " + mend + " …"
	}
	var moved []string
	for _, s := range m.metrics {
		moved = append(moved, "`"+regexp.MustCompile(`app="[0-9]+",?`).ReplaceAllString(s, "")+"`")
	}
	o.rows = append(o.rows, fmt.Sprintf("| %s | %s | %s | %s | %s | %s |", m.what, m.page, check, mend, strings.Join(moved, ", "), alert))
}

const outagesHead = `# Outages

What goes wrong, and where it shows: each was done to a real daemon, by ` + "`make outages`" + `, which writes this page. It was on one machine,
with two apps: one swept every two seconds, one every hour. The seconds are from the fault to the red check of ` + "`/readyz`" + `, in that run;
[Operations](operations.md#readiness-and-the-mend) has how many there are at the most. The
alerts are those of [deploy/prometheus/rules.yaml](../deploy/prometheus/rules.yaml), in a real Prometheus; each fires when it
has been true for the time that is set there, which was made shorter here, and links to what is to be done. That entry was then
followed to its end: its commands run as they are printed, the mend done, until it was over, the alert was gone, all was told, and
` + "`poller verify`" + ` said that all agrees. What the poller does meanwhile is in [Operations](operations.md#what-happens-when).

| what happened | the page shows | readiness | the mend says | metrics that move | alerts |
|---|---|---|---|---|---|
`

// write writes the page when every row is there; where it is not to, nothing.
func (o *outageTable) write(t *testing.T, file string, rows int) {
	t.Helper()
	if file == "" || t.Failed() || len(o.rows) != rows {
		return
	}
	if err := os.WriteFile(file, []byte(outagesHead+strings.Join(o.rows, "\n")+"\n"), 0o644); err != nil { //nolint:gosec // a page of the docs
		t.Fatal(err)
	}
}
