package main

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the commands print as JSON is shown in docs/json.md, field by field.
func TestJSONPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string][]string{}
	for _, section := range strings.Split(string(page), "\n## ")[1:] {
		title, text, _ := strings.Cut(section, "\n")
		for _, row := range regexp.MustCompile("(?m)^\\| (`.*?`) \\|").FindAllStringSubmatch(text, -1) {
			for _, field := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[1], -1) {
				shown[title] = append(shown[title], field[1])
			}
		}
	}
	printed := map[string][]any{
		"poller state":                 {stateObject{}, stateSweep{}, stateUser{}},
		"poller replay":                {replayReport{}},
		"poller replay with --dry-run": {dryReport{}},
		"poller verify":                {verifyReport{}, verifyFinding{}},
		"poller prune":                 {pruneReport{}, pruneDay{}, pruneSnapshots{}},
		"poller plan":                  {planReport{}, planHold{}, planMeasured{}, planPoint{}},
		"poller doctor":                {doctorReport{}, finding{}},
		"poller forget":                {forgetReport{}, forgetPlace{}},
		"poller version":               {built{}},
		"poller explain": {explainReport{}, explainHeld{}, explainEvent{}, explainSweep{}, explainHolder{}, explainDaemon{}, daemonStory{},
			daemonAnswer{}, daemonSuppressed{}, daemonIncident{}, explainStream{}, explainEntry{}},
	}
	for title, values := range printed {
		var want []string
		for _, v := range values {
			want = append(want, jsonFields(reflect.TypeOf(v))...)
		}
		if title == "poller state" {
			want = append(want, "users") // which it writes by itself
		}
		slices.Sort(want)
		slices.Sort(shown[title])
		if !slices.Equal(shown[title], want) {
			t.Errorf("docs/json.md shows of %s %v; it prints %v", title, shown[title], want)
		}
	}
	if len(shown) != len(printed) {
		t.Errorf("docs/json.md shows %d reports, want %d", len(shown), len(printed))
	}
}

func jsonFields(of reflect.Type) (names []string) {
	for _, field := range reflect.VisibleFields(of) {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}
