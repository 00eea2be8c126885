package status

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

// documented is a row of the table of docs/metrics.md.
type documented struct{ Type, Labels, Meaning string }

func TestDocumentIsTheRegistry(t *testing.T) {
	got, rest := registered(t)
	if diff := cmp.Diff(rows(t), got); diff != "" {
		t.Errorf("docs/metrics.md against the registry (-document +registry):\n%s", diff)
	}
	for _, name := range rest {
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("%s is neither the poller's nor of the runtime or the process", name)
		}
	}
	if !slices.Contains(rest, "go_goroutines") || !slices.Contains(rest, "process_start_time_seconds") {
		t.Errorf("got %v, want the metrics of the runtime and of the process", rest)
	}
}

func TestDocumentNamesEveryWord(t *testing.T) {
	page := page(t)
	for _, word := range slices.Concat(results(), reasons(), kinds(), outcomes(), callbackOutcomes(), unders(), []string{
		complete, partial, other, median, p99, oldest,
		string(LeaseHeld), string(LeaseStandby), string(LeaseFree), string(LeaseUnknown),
	}) {
		if !strings.Contains(page, "`"+word+"`") {
			t.Errorf("docs/metrics.md does not name the label %q", word)
		}
	}
}

func TestMetricsAreNamedByConvention(t *testing.T) {
	m := NewMetrics("v1")
	m.App(1)
	checks := NewChecks()
	checks.Expect("nats", 0)
	m.Show(checks)
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// registered returns the metrics of the poller, and the names of the others.
func registered(t *testing.T) (poller map[string]documented, rest []string) {
	t.Helper()
	m := NewMetrics("v1")
	m.App(1)
	checks := NewChecks()
	checks.Expect("nats", 0)
	m.Show(checks)
	gathered, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	poller = map[string]documented{}
	for _, f := range gathered {
		if !strings.HasPrefix(f.GetName(), "poller_") {
			rest = append(rest, f.GetName())
			continue
		}
		poller[f.GetName()] = documented{strings.ToLower(f.GetType().String()), labels(f), f.GetHelp()}
	}
	return poller, rest
}

func labels(f *dto.MetricFamily) string {
	var names []string
	for _, l := range f.GetMetric()[0].GetLabel() {
		names = append(names, "`"+l.GetName()+"`")
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// rows returns the rows of the document's table by name.
func rows(t *testing.T) map[string]documented {
	t.Helper()
	row := regexp.MustCompile("(?m)^\\| `(poller_[a-z_]+)` \\| (.*?) \\| (.*?) \\| (.*?) \\|$")
	found := map[string]documented{}
	for _, r := range row.FindAllStringSubmatch(page(t), -1) {
		if _, twice := found[r[1]]; twice {
			t.Errorf("docs/metrics.md has two rows for %s", r[1])
		}
		found[r[1]] = documented{Type: r[2], Labels: r[3], Meaning: r[4]}
	}
	return found
}

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
