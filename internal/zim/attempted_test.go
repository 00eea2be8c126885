package zim

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// Each request is told with what came back: its code and request id, also those
// of a good reply, and what was observed; and never a secret.
func TestAttemptsAreTold(t *testing.T) {
	t.Parallel()
	users := numbered(100)
	faults, err := zimsim.ParseFaults("http:503x1,code:1x1,hangx1,truncatedx1")
	if err != nil {
		t.Fatal(err)
	}
	s := simulator(t, zimsim.Config{Faults: faults}, users)
	var attempts []Attempt // one batch is asked about in one goroutine
	r := newRig(t, s.URL(), timeout(time.Second), func(c *Config) { c.Attempted = func(a Attempt) { attempts = append(attempts, a) } })
	r.ask(t.Context(), users)
	s.ClearFaults()
	out := r.ask(t.Context(), users)
	if len(out.observed) != 100 {
		t.Fatalf("%d observed", len(out.observed))
	}
	type seen struct {
		Result               string
		Code                 int64
		Status, Batch, Known int
		Named                bool
	}
	var got []seen
	for _, a := range attempts {
		r.checkSilent("the attempt", fmt.Sprintf("%+v", a))
		if a.Elapsed <= 0 || a.Lane != LaneSweep || a.AskedAt.IsZero() || a.At.Before(a.AskedAt) || a.At != presence.Instant(a.At) {
			t.Errorf("attempt %+v", a)
		}
		got = append(got, seen{a.Result, a.Code, a.Status, len(a.Batch), len(a.Observations), a.RequestID != ""})
	}
	want := []seen{
		{"http_5xx", 0, 503, 100, 0, false},
		{"1", 1, 200, 100, 0, true},
		{"timeout", 0, 0, 100, 0, false},
		{"unreadable", 0, 200, 100, 0, false},
		{"0", 0, 200, 100, 100, true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if log := r.log.String(); !strings.Contains(log, "ask ZIM: no answer within 1s: ") {
		t.Errorf("the log does not say how long was waited:\n%s", log)
	}
}

// The code of a reply is told as it came, where it is an answer about everybody.
func TestCodeOfAGoodReply(t *testing.T) {
	t.Parallel()
	var attempts []Attempt
	s := startRaw(t, nil)
	s.reply = func(ids []string) string {
		return body("660200001", fmt.Sprintf(`,"ErrorList":[{"UserId":%q,"SubCode":660200001}]`, ids[0]))
	}
	r := newRig(t, s.url(), func(c *Config) { c.Attempted = func(a Attempt) { attempts = append(attempts, a) } })
	r.ask(t.Context(), numbered(1))
	if len(attempts) != 1 || attempts[0].Result != "0" || attempts[0].Code != 660200001 || attempts[0].RequestID == "" || len(attempts[0].Observations) != 1 {
		t.Errorf("%+v", attempts)
	}
}
