package zim

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// A thousand users under each fault of the simulated ZIM, once while it lasts
// for the whole call, once while it passes in the middle of it.
func TestFaults(t *testing.T) {
	const all = 1000
	for _, c := range []struct {
		fault    string
		passing  string          // the same with an end; "" for a fault that the answers of one call do not recover from
		observed map[bool][2]int // while it lasts or not: the fewest and the most observed
	}{
		{"http:503", "http:503x7", map[bool][2]int{true: {0, 0}, false: {all, all}}},
		{"http:404", "http:404x7", map[bool][2]int{true: {0, 0}, false: {all, all}}},
		{"hang", "hangx7", map[bool][2]int{true: {0, 0}, false: {all, all}}},
		{"cut_headers", "cut_headersx7", map[bool][2]int{true: {0, 0}, false: {all, all}}},
		{"html", "htmlx7", map[bool][2]int{true: {0, 0}, false: {all, all}}},
		{"code:1", "code:1x7", map[bool][2]int{true: {0, 0}, false: {all, all}}},
		{"code:4711", "code:4711x7", map[bool][2]int{true: {0, 0}, false: {all, all}}},
		{"code:660200001", "code:660200001x7", map[bool][2]int{true: {0, 0}, false: {all, all}}},
		{"code:100000000", "", map[bool][2]int{true: {0, 0}}},
		{"code:100000004", "code:100000004x7", map[bool][2]int{true: {0, 0}, false: {500, all}}},
		{"truncated", "truncatedx7", map[bool][2]int{true: {0, 0}, false: {all, all}}},
		{"cut_body", "cut_bodyx7", map[bool][2]int{true: {0, 0}, false: {all, all}}},
		{"slow:10s", "slow:10sx7", map[bool][2]int{true: {0, 0}, false: {all, all}}},
		{"slow_answer:10s", "slow_answer:10sx7", map[bool][2]int{true: {0, 0}, false: {all, all}}},
		{"slow:20ms", "", map[bool][2]int{true: {all, all}}},
		{"partial:0.3", "partial:0.3x3", map[bool][2]int{true: {700, 700}, false: {910, 910}}},
		{"partial:1", "partial:1x3", map[bool][2]int{true: {0, 0}, false: {700, 700}}},
		{"empty", "emptyx3", map[bool][2]int{true: {0, 0}, false: {700, 700}}},
		{"invented:0.2", "", map[bool][2]int{true: {all, all}}},
		{"unknown_status:1", "unknown_status:1x3", map[bool][2]int{true: {334, 334}, false: {790, 810}}},
		{"lower_case", "", map[bool][2]int{true: {all, all}}},
		{"twice:1", "", map[bool][2]int{true: {all, all}}},
		{"contradictory:1", "contradictory:1x3", map[bool][2]int{true: {334, 334}, false: {790, 810}}},
		{"http:503@0.1,cut_body@0.1,partial:0.1@0.1,html@0.1", "", map[bool][2]int{true: {600, all}}},
	} {
		for _, lasts := range []bool{true, false} {
			name := c.fault
			if !lasts {
				name = c.passing
			}
			if name == "" {
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				faults, err := zimsim.ParseFaults(name)
				if err != nil {
					t.Fatal(err)
				}
				users := numbered(all)
				s := simulator(t, zimsim.Config{Seed: 1, Faults: faults}, users)
				patience := 3 * time.Second
				if c.observed[lasts][1] == 0 {
					patience /= 3 // however short, nothing is missed by it
				}
				r := newRig(t, s.URL(), timeout(patience))
				out := r.ask(t.Context(), users)
				if out.err != nil {
					t.Fatal(out.err)
				}
				if n, want := len(out.observed), c.observed[lasts]; n < want[0] || n > want[1] {
					t.Errorf("%d observed, want %v; missed %v", n, want, out.counts())
				}
				out.checkTrue(t, s)
				r.checkBooks(s, out.asked)
				if out.asked.Requests > all/100*r.sweep.weather {
					t.Errorf("%d requests for %d batches", out.asked.Requests, all/100)
				}
			})
		}
	}
}

// Both lists about one user: those who are offline in both are offline, in the
// words of the list that says more; the others contradict themselves.
func TestBothLists(t *testing.T) {
	t.Parallel()
	users := numbered(300)
	s := simulator(t, zimsim.Config{Faults: []zimsim.Fault{{Kind: zimsim.BothLists, Share: 1}}}, users)
	out := newRig(t, s.URL()).ask(t.Context(), users)
	_, truth := s.App(0).Truth()
	for _, u := range users {
		o, observed := out.observed[u.ID]
		if truth[u.ID] == zimsim.Online {
			if out.missed[u.ID] != presence.MissConflict {
				t.Errorf("user %q, online in one list and gone in the other, was observed (%v) as %s", u.ID, observed, o.Status)
			}
		} else if !observed || o.Status != presence.Offline || o.Detail != presence.NoSession {
			t.Errorf("user %q is %s, and was observed (%v) as %s %s", u.ID, truth[u.ID], observed, o.Status, o.Detail)
		}
	}
}

// Each batch that is to be asked once more is told of, and no other.
func TestRetriesAreTold(t *testing.T) {
	t.Parallel()
	users := numbered(500)
	faults, err := zimsim.ParseFaults("http:503x3")
	if err != nil {
		t.Fatal(err)
	}
	s := simulator(t, zimsim.Config{Faults: faults}, users)
	var retried atomic.Int64
	out := newRig(t, s.URL(), func(c *Config) { c.Retried = func() { retried.Add(1) } }).ask(t.Context(), users)
	if got := retried.Load(); got != 3 || out.asked.Requests != 8 {
		t.Errorf("told of %d retries, want 3; %d requests, want 8", got, out.asked.Requests)
	}
}

func TestInventedAreCounted(t *testing.T) {
	t.Parallel()
	users := numbered(200)
	s := simulator(t, zimsim.Config{Faults: []zimsim.Fault{{Kind: zimsim.Invented, Share: 0.1}}}, users)
	out := newRig(t, s.URL()).ask(t.Context(), users)
	if out.asked.Invented != 20 || len(out.observed) != 200 {
		t.Errorf("%d invented, want 20; %d observed, want 200", out.asked.Invented, len(out.observed))
	}
}

// What the documents leave open, each way.
func TestUnsettled(t *testing.T) {
	users := numbered(350)
	for name, u := range map[string]zimsim.Unsettled{
		"lower, zero, null":   {StatusCase: "lower", AllFailedZero: true, EmptyList: "null"},
		"upper, code, absent": {StatusCase: "upper", EmptyList: "absent"},
		"title, code, []":     {EmptyList: "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := simulator(t, zimsim.Config{Unsettled: u}, users)
			strangers := append(numbered(350), presence.User{No: 1000, ID: "never-seen"})
			r := newRig(t, s.URL())
			out := r.ask(t.Context(), strangers)
			if out.err != nil || len(out.observed) != len(strangers) {
				t.Errorf("%d of %d observed, %v", len(out.observed), len(strangers), out.err)
			}
			out.checkTrue(t, s)
			r.checkBooks(s, out.asked)
		})
	}
}

// A batch in which nobody has a session has a Code that is not 0, and data.
func TestNobodyHasASession(t *testing.T) {
	t.Parallel()
	s := simulator(t, zimsim.Config{}, nil)
	out := newRig(t, s.URL()).ask(t.Context(), numbered(200))
	out.checkTrue(t, s)
	if len(out.observed) != 200 || out.asked.Requests != 2 {
		t.Errorf("%d observed in %d requests, want 200 in 2", len(out.observed), out.asked.Requests)
	}
}

func TestAskAboutNobody(t *testing.T) {
	r := newRig(t, "http://127.0.0.1:1")
	if out := r.ask(t.Context(), nil); out.err != nil || out.asked != (Asked{}) {
		t.Errorf("%+v", out)
	}
}
