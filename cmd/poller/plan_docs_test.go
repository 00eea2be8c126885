package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What docs/tuning.md shows as the output of poller plan is what it prints.
func TestPlanInTheDocs(t *testing.T) {
	page := tuningPage(t)
	shown := regexp.MustCompile("(?m)^```sh\n(.*poller plan.*)\n```\n\n```text\n((?s:.*?))^```$").FindAllStringSubmatch(page, -1)
	if len(shown) < 2 || len(shown) != strings.Count(page, "poller plan --users ")-strings.Count(page, "`poller plan --users ") {
		t.Fatalf("%d outputs are shown", len(shown))
	}
	for _, m := range shown {
		environ, args := []string{"LANG=C.UTF-8"}, strings.Fields(m[1])
		for ; args[0] != "poller"; args = args[1:] {
			environ = append(environ, args[0])
		}
		if got := planned80(t, environ, args[1:]...); got != m[2] {
			t.Errorf("%s prints\n%sand docs/tuning.md shows\n%s", m[1], got, m[2])
		}
	}
}

// Its table is reckoned.
func TestTableInTheDocs(t *testing.T) {
	page := tuningPage(t)
	for _, users := range []int{1000, 10_000, 100_000, 1_000_000, 10_000_000} {
		at := func(rate int) planReport {
			return plannedJSON(t, []string{fmt.Sprintf("POLLER_ZIM_RATE=%d", rate)}, "--users", fmt.Sprint(users))
		}
		slow, fast := at(20), at(100)
		row := fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s |", thousands(users), thousands(slow.Requests),
			inSeconds(slow.Sweep), inSeconds(slow.Seen.Mean), inSeconds(slow.Seen.Worst), percent(slow.BudgetUsed), inSeconds(fast.Sweep))
		if !strings.Contains(page, row+"\n") {
			t.Errorf("docs/tuning.md lacks the row\n%s", row)
		}
	}
}

// Its table of what to set is reckoned as well.
func TestSettingsInTheDocs(t *testing.T) {
	const stateBytes, rowBytes, messageBytes, changes, days = 85, 195, 700, 4, 30
	page := tuningPage(t)
	for _, c := range []struct {
		users int
		every string
		rate  int
	}{
		{1000, "10s", 20}, {10_000, "15s", 20}, {10_000, "1m", 5}, {100_000, "1m", 20}, {1_000_000, "10m", 20},
		{1_000_000, "2m", 100}, {10_000_000, "90m", 20}, {10_000_000, "10m", 200},
	} {
		at := plannedJSON(t, []string{fmt.Sprintf("POLLER_ZIM_RATE=%d", c.rate), "POLLER_SCHEDULE=@every " + c.every}, "--users", fmt.Sprint(c.users))
		row := fmt.Sprintf("| %s | `@every %s` | %d | %s | %s | %s | %s | %s | %s |", thousands(c.users), c.every, c.rate,
			inSeconds(at.Seen.Mean), inSeconds(at.Seen.Worst), percent(at.BudgetUsed),
			inBytes(c.users*stateBytes), inBytes(c.users*changes*rowBytes), inBytes(c.users*changes*days*messageBytes))
		if !strings.Contains(page, row+"\n") {
			t.Errorf("docs/tuning.md lacks the row\n%s", row)
		}
	}
}

// inBytes is a number of bytes in two digits, or three.
func inBytes(n int) string {
	unit, value := "B", float64(n)
	for _, next := range []string{"kB", "MB", "GB", "TB"} {
		if value < 1000 {
			break
		}
		unit, value = next, value/1000
	}
	return fmt.Sprintf("%.3g %s", value, unit)
}

func inSeconds(s float64) string { return shortly(time.Duration(s * float64(time.Second))) }

func tuningPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/tuning.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// planned80 is what poller plan prints, which has to go well and to fit into 80 columns.
func planned80(t *testing.T, environ []string, args ...string) string {
	t.Helper()
	var out, said bytes.Buffer
	if code := execute(t.Context(), args, environ, &out, &said); code != 0 || said.Len() > 0 {
		t.Fatalf("poller %q: exit code %d, %s", args, code, &said)
	}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if n := len([]rune(line)); n > 80 || strings.TrimRight(line, " ") != line {
			t.Errorf("poller %q: %d columns, or spaces at the end: %q", args, n, line)
		}
	}
	return out.String()
}

func plannedJSON(t *testing.T, environ []string, args ...string) (r planReport) {
	t.Helper()
	planJSON(t, &r, environ, args...)
	return r
}

// planJSON reads what poller plan prints as json, which has to go well.
func planJSON(t testing.TB, into *planReport, environ []string, args ...string) {
	t.Helper()
	var out, said bytes.Buffer
	args = append([]string{"plan", "-o", "json"}, args...)
	if code := execute(t.Context(), args, environ, &out, &said); code != 0 || said.Len() > 0 {
		t.Fatalf("poller %q: exit code %d, %s", args, code, &said)
	}
	if err := json.Unmarshal(out.Bytes(), into); err != nil {
		t.Fatalf("poller %q: %v", args, err)
	}
}
