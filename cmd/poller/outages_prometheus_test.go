package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// rulesFile is what is shipped.
const rulesFile = "../../deploy/prometheus/rules.yaml"

// prometheus is a real one, with the rules that are shipped, in which every wait is
// three seconds.
type prometheus struct{ base string }

func newPrometheus(t *testing.T, target string) *prometheus {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatal("make outages wants the program prometheus: ", err)
	}
	rules, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	dir, p := t.TempDir(), &prometheus{base: "http://" + anyAddress(t)}
	short := regexp.MustCompile(`(?m)^(\s+)for: \S+`).ReplaceAllString(string(rules), "${1}for: 3s")
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%s/rules.yaml]\nscrape_configs: [{job_name: poller, static_configs: [{targets: ['%s']}]}]\n", dir, target)
	for name, text := range map[string]string{"rules.yaml": short, "prometheus.yaml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+strings.TrimPrefix(p.base, "http://"), "--log.level=error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(patience); !p.up(); <-time.After(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("prometheus does not scrape the daemon")
		}
	}
	return p
}

// up tells whether it scrapes the daemon.
func (p *prometheus) up() bool {
	var answer struct {
		Data struct {
			ActiveTargets []struct{ Health string }
		}
	}
	return p.get("/api/v1/targets", &answer) && len(answer.Data.ActiveTargets) == 1 && answer.Data.ActiveTargets[0].Health == "up"
}

func (p *prometheus) get(path string, into any) bool {
	resp, err := http.Get(p.base + path)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into) == nil
}

// fire waits until all the wanted alerts fire, and returns every one that began to be
// true since.
func (p *prometheus) fire(t testing.TB, since time.Time, wanted []string) (fired []string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(500 * time.Millisecond) {
		fired = p.firing(since)
		missing := slices.DeleteFunc(slices.Clone(wanted), func(name string) bool { return slices.Contains(fired, name) })
		if len(missing) == 0 {
			return fired
		}
		if time.Now().After(deadline) {
			t.Errorf("alerts %v do not fire; those that do: %v", missing, fired)
			return fired
		}
	}
}

func (p *prometheus) firing(since time.Time) (names []string) {
	for _, a := range p.alerts() {
		if name := a.Labels["alertname"]; a.State == "firing" && a.ActiveAt.After(since) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// active tells whether one of these alerts is true already.
func (p *prometheus) active(names []string) bool {
	return slices.ContainsFunc(p.alerts(), func(a alert) bool { return slices.Contains(names, a.Labels["alertname"]) })
}

// alert is one that is true, for long enough or not yet.
type alert struct {
	Labels   map[string]string
	State    string
	ActiveAt time.Time
}

func (p *prometheus) alerts() []alert {
	var answer struct{ Data struct{ Alerts []alert } }
	p.get("/api/v1/alerts", &answer)
	return answer.Data.Alerts
}

// outageTable is the page for whoever is called at night.
type outageTable struct{ rows []string }

func (o *outageTable) add(m mishap, took time.Duration) {
	check := "stays green"
	switch subject, _, _ := strings.Cut(m.check, "/"); {
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
has been true for the time that is set there, and links to what is to be done. What the poller does meanwhile is in
[Operations](operations.md#what-happens-when).

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
