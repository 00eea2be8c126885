package zimsim

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseFaults(t *testing.T) {
	got, err := ParseFaults("http:429x3, code:7@0.1,slow:2s@0.5x2,partial:0.2,hangx1,html@0,http@0.5")
	if err != nil {
		t.Fatal(err)
	}
	plain := Fault{Probability: 1, Share: 0.5, Status: 503, Code: 1}
	var want []Fault
	for _, change := range []func(*Fault){
		func(f *Fault) { f.Kind, f.Status, f.Count = HTTPError, 429, 3 },
		func(f *Fault) { f.Kind, f.Code, f.Probability = Code, 7, 0.1 },
		func(f *Fault) { f.Kind, f.Delay, f.Probability, f.Count = Slow, 2*time.Second, 0.5, 2 },
		func(f *Fault) { f.Kind, f.Share = Partial, 0.2 },
		func(f *Fault) { f.Kind, f.Count = Hang, 1 },
		func(f *Fault) { f.Kind, f.Probability = HTTPError, 0.5 },
	} {
		f := plain
		change(&f)
		want = append(want, f)
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"hangs", "code:x", "slow", "http:200", "partial:2", "http@1.5", "http@x", "hang@-1"} {
		if got, err := ParseFaults(bad); err == nil {
			t.Errorf("%q: got %+v, want an error", bad, got)
		}
	}
}

// A fault is named once, however it was given.
func TestFaultErrorsNameItOnce(t *testing.T) {
	const kinds = "http, hang, cut_headers, html, code, slow, kill_keepalive, slow_answer, partial, invented, unknown_status, " +
		"lower_case, empty, both_lists, twice, contradictory, lost, gone, truncated, cut_body"
	for text, want := range map[string]string{
		"foo":       `fault "foo": no such kind; kinds: ` + kinds,
		"http:200":  `fault "http:200": status 200: want 400 to 599`,
		"slow@0.5":  `fault "slow@0.5": want a delay`,
		"html@2":    `fault "html@2": probability and share: want 0 to 1`,
		"hangx-1":   `fault "hangx-1": count, delay and retry_after: want at least 0`,
		"code:7,xy": `fault "xy": no such kind; kinds: ` + kinds,
		"xy:soon":   `fault "xy:soon": no such kind; kinds: ` + kinds,
		"hang:2s":   `fault "hang:2s": this kind takes no argument`,
	} {
		if _, err := ParseFaults(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	if _, err := (Fault{Kind: "foo"}).withDefaults(); err == nil || err.Error() != `fault "foo": no such kind; kinds: `+kinds {
		t.Errorf("got %v, want the fault named once", err)
	}
}

func TestFaultJSON(t *testing.T) {
	want := Fault{Kind: Slow, Delay: 1500 * time.Millisecond, App: 7, Count: 2, Probability: 0.5}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Fault
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("%s: got %+v, %v", text, got, err)
	}
	for _, bad := range []string{`{"kind":"slow","delay":"2"}`, `{"kind":"slow","dealy":"2s"}`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s: accepted", bad)
		}
	}
}

// Only what the kind takes is said.
func TestFaultJSONFits(t *testing.T) {
	for text, want := range map[string]string{
		"gone:1":         `{"kind":"gone","probability":1,"share":1}`,
		"http:429x3":     `{"kind":"http","probability":1,"count":3,"status":429}`,
		"code:7@0.5":     `{"kind":"code","probability":0.5,"code":7}`,
		"slow_answer:2s": `{"kind":"slow_answer","probability":1,"delay":"2s"}`,
		"hang":           `{"kind":"hang","probability":1}`,
	} {
		faults, err := ParseFaults(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(faults[0]); string(got) != want || err != nil {
			t.Errorf("%s: got %s, %v; want %s", text, got, err, want)
		}
	}
}

// Every kind that there is strikes at one of the two moments and is described, and docs/operations.md has these
// descriptions, all of them and no other.
func TestKindsAreDescribed(t *testing.T) {
	source, err := os.ReadFile("kind.go")
	if err != nil {
		t.Fatal(err)
	}
	var there, described []Kind
	for _, m := range regexp.MustCompile(`(?m)^\t\w+ +Kind = "(\w+)"`).FindAllSubmatch(source, -1) {
		there = append(there, Kind(m[1]))
	}
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "| kind | takes | what goes wrong |\n|---|---|---|\n")
	section, _, _ = strings.Cut(section, "\n\n")
	rows := strings.Split(section, "\n")
	for i, k := range Kinds() {
		described = append(described, k.Kind)
		if k.Kind.wire() == k.Kind.data() {
			t.Errorf("%s strikes before the request is judged: %t, and spoils its data: %t", k.Kind, k.Kind.wire(), k.Kind.data())
		}
		takes := ""
		if k.Takes != "" {
			takes = "`" + strings.ReplaceAll(k.Takes, ", ", "`, `") + "`"
		}
		row := fmt.Sprintf("| `%s` | %s | %s |", k.Kind, takes, k.Does)
		if row = strings.ReplaceAll(row, "|  |", "| |"); i >= len(rows) || rows[i] != row {
			t.Errorf("row %d of the table in docs/operations.md is not\n%s", i+1, row)
		}
	}
	slices.Sort(there)
	if got := slices.Sorted(slices.Values(described)); !slices.Equal(got, there) || len(rows) != len(described) {
		t.Errorf("described are %q, there are %q, and docs/operations.md has %d rows", got, there, len(rows))
	}
}
