package poller_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// metric is a row of the table of docs/metrics.md, which another test compares with
// what the program exports.
type metric struct {
	kind   string
	labels []string
}

// exported returns the metrics of the poller, and those of the runtime that are named
// anywhere.
func exported(t *testing.T) map[string]metric {
	t.Helper()
	row := regexp.MustCompile("(?m)^\\| `(poller_[a-z_]+)` \\| (\\w+) \\| (.*?) \\|")
	all := map[string]metric{
		"go_goroutines": {kind: "gauge"}, "go_gc_heap_live_bytes": {kind: "gauge"},
		"process_cpu_seconds_total": {kind: "counter"}, "process_open_fds": {kind: "gauge"},
		"process_resident_memory_bytes": {kind: "gauge"}, "process_start_time_seconds": {kind: "gauge"},
		"up": {kind: "gauge"},
	}
	for _, m := range row.FindAllStringSubmatch(read(t, "docs/metrics.md"), -1) {
		name, kind, labels := m[1], m[2], []string(nil)
		for _, l := range span.FindAllStringSubmatch(m[3], -1) {
			labels = append(labels, l[1])
		}
		all[name] = metric{kind, labels}
		if kind == "histogram" {
			all[name+"_bucket"] = metric{"counter", append(slices.Clone(labels), "le")}
			all[name+"_sum"], all[name+"_count"] = metric{"counter", labels}, metric{"counter", labels}
			delete(all, name)
		}
	}
	if len(all) < 50 {
		t.Fatalf("docs/metrics.md has %d metrics", len(all))
	}
	return all
}

// The parts of PromQL that are looked at: who is selected, by which labels, and by
// which it is grouped.
var (
	selector = regexp.MustCompile(`\b((?:app:)?(?:poller|go|process)_[a-z_]+(?::[a-z_]+)?|up)\b(\{[^}]*\})?(\[[^\]]*\])?`)
	matcher  = regexp.MustCompile(`([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping = regexp.MustCompile(`\b(?:by|on|ignoring|without|group_left|group_right)\s*\(([^)]*)\)`)
	ranged   = regexp.MustCompile(`\b(rate|increase|irate)\(`)
)

// added are the labels that Prometheus adds itself.
func added() []string { return []string{"job", "instance"} }

// checkQuery holds a query to what is exported; recorded are the series that rules make.
func checkQuery(t *testing.T, where, query string, metrics map[string]metric, recorded []string) {
	t.Helper()
	selected := selector.FindAllStringSubmatch(query, -1)
	if len(selected) == 0 {
		t.Errorf("%s: %q selects nothing", where, query)
	}
	labels := added()
	for _, s := range selected {
		m, known := metrics[s[1]]
		if !known && !slices.Contains(recorded, s[1]) {
			t.Errorf("%s: there is no metric %s", where, s[1])
			continue
		}
		if !known {
			labels = append(labels, "app")
			continue
		}
		labels = append(labels, m.labels...)
		checkMatchers(t, where, s[1], s[2], m)
	}
	for _, g := range grouping.FindAllStringSubmatch(query, -1) {
		for l := range strings.FieldsFuncSeq(g[1], func(r rune) bool { return r == ',' || r == ' ' }) {
			if !slices.Contains(labels, l) {
				t.Errorf("%s: %s groups by %s, which none of its metrics has", where, query, l)
			}
		}
	}
	checkRates(t, where, query, metrics)
}

// checkMatchers holds what a selector asks for to the labels of its metric, and to the words that
// these may have.
func checkMatchers(t *testing.T, where, name, selects string, m metric) {
	t.Helper()
	words := read(t, "docs/metrics.md") + read(t, "docs/operations.md")
	for _, c := range matcher.FindAllStringSubmatch(selects, -1) {
		label, value := c[1], c[3]
		if !slices.Contains(append(added(), m.labels...), label) {
			t.Errorf("%s: %s has no label %s", where, name, label)
		}
		if strings.HasPrefix(value, "$") || slices.Contains(added(), label) {
			continue
		}
		for word := range strings.SplitSeq(value, "|") {
			if !strings.Contains(words, "`"+word+"`") && !strings.Contains(words, "`"+word+"/<app>`") {
				t.Errorf("%s: the label %s of %s is never %q", where, label, name, word)
			}
		}
	}
}

// checkRates refuses a rate of what is no counter, and one without a range.
func checkRates(t *testing.T, where, query string, metrics map[string]metric) {
	t.Helper()
	for _, at := range ranged.FindAllStringIndex(query, -1) {
		s := selector.FindStringSubmatch(query[at[1]:])
		if s == nil || metrics[s[1]].kind != "counter" || s[3] == "" {
			t.Errorf("%s: %q takes the rate of what is no counter, or over no time", where, query[at[0]:])
		}
	}
}
