package zimsim

import (
	"encoding/json"
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
	for text, want := range map[string]string{
		"foo":       `fault "foo": no such kind`,
		"http:200":  `fault "http:200": status 200: want 400 to 599`,
		"slow@0.5":  `fault "slow@0.5": want a delay`,
		"html@2":    `fault "html@2": probability and share: want 0 to 1`,
		"hangx-1":   `fault "hangx-1": count, delay and retry_after: want at least 0`,
		"code:7,xy": `fault "xy": no such kind`,
	} {
		if _, err := ParseFaults(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	if _, err := (Fault{Kind: "foo"}).withDefaults(); err == nil || err.Error() != `fault "foo": no such kind` {
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
