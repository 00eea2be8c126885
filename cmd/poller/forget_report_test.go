package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestForgetReportText(t *testing.T) {
	at := time.Date(2026, 11, 22, 18, 43, 36, 120114000, time.UTC)
	for name, c := range map[string]struct {
		report forgetReport
		want   string
	}{
		"nothing": {forgetReport{AppID: 7, Places: []forgetPlace{{Place: "transitions"}}}, "app 7: nothing of this user was found (is the id right?)\n"},
		"looked": {forgetReport{AppID: 7, Places: []forgetPlace{{Place: "user_states", Found: 1, Left: 1}, {Place: "transitions", Found: 12, Left: 12}}}, `app 7:
  found
      1  user_states
     12  transitions
`},
		"erased": {forgetReport{AppID: 7, Told: 12, ErasedAt: &at, Places: []forgetPlace{{Place: "transitions", Found: 12, Removed: 12}}}, `app 7:
  found  removed  left
     12       12     0  transitions
erased at 2026-11-22T18:43:36.120114Z
events told as erased on presence.control.v1.7.erased: 12
`},
	} {
		if got := strings.TrimSuffix(c.report.text(), beyond); strings.ReplaceAll(got, "  \n", "\n") != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, c.want)
		}
	}
}

// Only a person who looks on is asked for the id.
func TestForgetReadsTheUser(t *testing.T) {
	for text, want := range map[string]string{"user\n": "user", "user\r\n": "user", "\n": "", "": "", "one\ntwo\n": ""} {
		var said bytes.Buffer
		got, err := (&forgetCmd{Stdin: strings.NewReader(text)}).user(&globals{Stderr: &said})
		if got != want || (err != nil) != (want == "") || said.Len() > 0 {
			t.Errorf("of %q: %q, %v, and it says %q; want %q", text, got, err, said.String(), want)
		}
	}
}

func TestForgetWarnsOfNoID(t *testing.T) {
	for user, want := range map[string]bool{"bad,name": true, "good.name": false} {
		var out, said bytes.Buffer
		execute(t.Context(), []string{"forget", user}, []string{"POLLER_DATA_DIR=" + t.TempDir(), "POLLER_ZIM_APP_ID=7", "POLLER_ZIM_SERVER_SECRET=" + strings.Repeat("0", 32)}, &out, &said)
		if got := strings.Contains(said.String(), "ZIM knows no such id: "); got != want || strings.Contains(said.String(), user) || !strings.Contains(said.String(), "no database") {
			t.Errorf("poller forget %s says %s; warned %t, want %t", user, said.String(), got, want)
		}
	}
}
