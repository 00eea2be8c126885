package poller_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// rules are those of Prometheus, as far as this project uses them.
type rules struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	} `yaml:"groups"`
}

type rule struct {
	Record      string            `yaml:"record"`
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

const runbook = "https://github.com/zim-presence/poller/blob/main/docs/operations.md#"

// alerting returns the alerts and the recording rules.
func alerting(t *testing.T) (alerts []rule, recorded []rule) {
	t.Helper()
	var all rules
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "deploy/prometheus/rules.yaml")), &all, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for _, g := range all.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				alerts = append(alerts, r)
			} else {
				recorded = append(recorded, r)
			}
		}
	}
	if len(alerts) == 0 {
		t.Fatal("no alert")
	}
	return alerts, recorded
}

// Each alert goes by what is exported, says how bad it is, and leads to its entry in the
// runbook; and each entry has an alert.
func TestDeployAlerts(t *testing.T) {
	alerts, recorded := alerting(t)
	metrics := exported(t)
	var records, names []string
	for _, r := range recorded {
		checkQuery(t, r.Record, r.Expr, metrics, nil)
		records = append(records, r.Record)
	}
	entries := anchors(read(t, "docs/operations.md"))
	for _, a := range alerts {
		checkQuery(t, a.Alert, a.Expr, metrics, records)
		if severity := a.Labels["severity"]; severity != "critical" && severity != "warning" || len(a.Labels) != 1 {
			t.Errorf("%s has the labels %v, want a severity, critical or warning", a.Alert, a.Labels)
		}
		for _, key := range []string{"summary", "description"} {
			checkText(t, a.Alert, a.Annotations[key], metrics)
		}
		anchor := strings.ToLower(a.Alert)
		if got := a.Annotations["runbook_url"]; got != runbook+anchor || !slices.Contains(entries, anchor) {
			t.Errorf("%s leads to %q, want %s, and that there is one", a.Alert, got, runbook+anchor)
		}
		if slices.Contains(names, a.Alert) {
			t.Errorf("two alerts are %s", a.Alert)
		}
		names = append(names, a.Alert)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry, "poller") && !strings.Contains(entry, "-") && !slices.ContainsFunc(names, func(n string) bool { return strings.ToLower(n) == entry }) {
			t.Errorf("the runbook has an entry %s, and there is no such alert", entry)
		}
	}
}

// checkText holds what an alert says to the labels that it may have.
func checkText(t *testing.T, alert, text string, metrics map[string]metric) {
	t.Helper()
	if text == "" {
		t.Errorf("%s does not say what it is about", alert)
	}
	for _, m := range regexp.MustCompile(`\$labels\.([a-z_]+)`).FindAllStringSubmatch(text, -1) {
		known := slices.Contains(added(), m[1])
		for _, of := range metrics {
			known = known || slices.Contains(of.labels, m[1])
		}
		if !known {
			t.Errorf("%s speaks of a label %s, which nothing has", alert, m[1])
		}
	}
}

// Each alert is seen to fire by the tests of promtool, with its severity, and those tests name no other.
func TestDeployAlertsAreTested(t *testing.T) {
	alerts, _ := alerting(t)
	fires := map[string]string{}
	expected := regexp.MustCompile(`labels: '\{alertname="(\w+)".*severity="(\w+)"\}'`)
	for _, m := range expected.FindAllStringSubmatch(read(t, "deploy/prometheus/rules_test.yaml"), -1) {
		fires[m[1]] = m[2]
	}
	for _, a := range alerts {
		if got, want := fires[a.Alert], a.Labels["severity"]; got != want {
			t.Errorf("rules_test.yaml has %s fire as %q, want %q", a.Alert, got, want)
		}
		delete(fires, a.Alert)
	}
	for name := range fires {
		t.Errorf("rules_test.yaml has %s fire, which is no alert", name)
	}
}

// The table of the runbook has each alert, with its severity.
func TestDeployAlertsAreListed(t *testing.T) {
	alerts, _ := alerting(t)
	text := read(t, "docs/operations.md")
	for _, a := range alerts {
		if row := "| [" + a.Alert + "](#" + strings.ToLower(a.Alert) + ") | " + a.Labels["severity"] + " |"; !strings.Contains(text, row) {
			t.Errorf("docs/operations.md has no row %q", row)
		}
	}
}
