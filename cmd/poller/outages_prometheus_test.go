package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
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

// shorter are the times of the rules in a drill: what takes minutes is there in seconds.
var shorter = []struct {
	long  *regexp.Regexp
	short string
}{
	{regexp.MustCompile(`(?m)^(\s+)for: \S+`), "${1}for: 3s"},
	{regexp.MustCompile(`(?m)^(\s+)600$`), "${1}20"}, // the least limit of the age of answers
	{regexp.MustCompile(`\[15m:30s\]`), "[1m:1s]"},   // in which the lease flaps
	{regexp.MustCompile(`(skipped|wait_seconds)_total\[30m\]`), "${1}_total[20s]"},
	{regexp.MustCompile(`(incidents|held_users)_total\[15m\]`), "${1}_total[20s]"},
	{regexp.MustCompile(`660000028"\}\)?\[5m\]`), `660000028"}[20s]`}, // in which ZIM has refused the app
	{regexp.MustCompile(`\[2m\]`), "[5s]"},                            // for which the ledger has been refused
	{regexp.MustCompile(`\[2d\]`), "[5s]"},                            // for which days have been kept
}

// prometheus is a real one, with the rules that are shipped, their times made shorter.
type prometheus struct{ base, targets string }

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
	dir := t.TempDir()
	p := &prometheus{base: "http://" + anyAddress(t), targets: filepath.Join(dir, "targets.json")}
	short := string(rules)
	for _, s := range shorter {
		if !s.long.MatchString(short) {
			t.Errorf("%s has no %s to be made shorter", rulesFile, s.long)
		}
		short = s.long.ReplaceAllString(short, s.short)
	}
	p.scrape(t, target)
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%s/rules.yaml]\nscrape_configs: [{job_name: poller, file_sd_configs: [{files: ['%s']}]}]\n", dir, p.targets)
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

// scrape has it scrape these, and nothing else.
func (p *prometheus) scrape(t testing.TB, addresses ...string) {
	t.Helper()
	text, err := json.Marshal([]map[string][]string{{"targets": addresses}})
	if err == nil {
		err = os.WriteFile(p.targets+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(p.targets+".new", p.targets)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// holds tells whether an expression has a result.
func (p *prometheus) holds(expression string) bool {
	var answer struct{ Data struct{ Result []any } }
	return p.get("/api/v1/query?query="+url.QueryEscape(expression), &answer) && len(answer.Data.Result) > 0
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
