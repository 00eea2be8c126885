package zim

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// bad makes the users at the places ids that the simulated ZIM refuses.
func bad(n int, places ...int) (users []presence.User, ids map[string]bool) {
	users, ids = numbered(n), map[string]bool{}
	for _, i := range places {
		users[i].ID = fmt.Sprintf("bad\x7f%d", i)
		ids[users[i].ID] = true
	}
	return users, ids
}

// checkSplit asks, and wants exactly the bad ids refused and all others
// observed.
func (r *rig) checkSplit(s *zimsim.Server, users []presence.User, ids map[string]bool, mostRequests int) Asked {
	r.t.Helper()
	out := r.ask(r.t.Context(), users)
	if out.err != nil {
		r.t.Fatal(out.err)
	}
	out.checkTrue(r.t, s)
	for _, u := range users {
		_, observed := out.observed[u.ID]
		if ids[u.ID] == observed || !observed && out.missed[u.ID] != presence.MissRefused {
			r.t.Errorf("user %q: observed %v, missed as %q", u.ID, observed, out.missed[u.ID])
		}
	}
	if out.asked.Requests > mostRequests {
		r.t.Errorf("%d requests, want at most %d", out.asked.Requests, mostRequests)
	}
	return out.asked
}

func TestOneBadIDAnywhere(t *testing.T) {
	for _, unsettled := range []zimsim.Unsettled{{}, {BadIDCode: 2}} {
		s := simulator(t, zimsim.Config{Unsettled: unsettled}, numbered(100))
		for place := range 100 {
			users, ids := bad(100, place)
			r := newRig(t, s.URL())
			r.checkSplit(s, users, ids, 16) // 1 + 2 × 7 levels, and the second hearing
			next := r.checkSplit(s, users, ids, 1)
			if next.Requests != 1 {
				t.Errorf("place %d: %d requests in the next call, want 1", place, next.Requests)
			}
			if got := r.logged("refuses this id"); got != 1 {
				t.Errorf("place %d: %d lines about a bad id, want 1", place, got)
			}
			r.Close()
		}
	}
}

func TestTenBadIDs(t *testing.T) {
	users, ids := bad(1000, 0, 1, 50, 99, 100, 333, 334, 335, 777, 999)
	s := simulator(t, zimsim.Config{}, users[:0])
	if _, err := s.App(0).SetAll(statesOf(numbered(1000))); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, s.URL())
	asked := []Asked{r.checkSplit(s, users, ids, 10+10*16)}
	asked = append(asked, r.checkSplit(s, users, ids, 10))
	r.checkBooks(s, asked...)
}

func TestManyBadIDsWhereEachFailsItself(t *testing.T) {
	users, ids := bad(100, 0, 17, 99)
	s := simulator(t, zimsim.Config{Unsettled: zimsim.Unsettled{BadIDAlone: true}}, numbered(100))
	newRig(t, s.URL()).checkSplit(s, users, ids, 1)
}

// Suspects are asked about alone, less and less often, and are back in their
// batch once they have been accepted.
func TestSuspectsAreAskedRarelyAndAcquitted(t *testing.T) {
	users := numbered(100)
	long := "u-" + fmt.Sprintf("%038d", 7) // 40 bytes: refused while 32 is the most
	users[42].ID = long
	strict := simulator(t, zimsim.Config{}, users)
	r := newRig(t, strict.URL())
	ids := map[string]bool{long: true}
	r.checkSplit(strict, users, ids, 16)
	var trials []int
	for call := range 40 {
		if asked := r.checkSplit(strict, users, ids, 2); asked.Requests == 2 {
			trials = append(trials, call)
		}
	}
	if want := []int{1, 5, 13, 29}; !slices.Equal(trials, want) {
		t.Errorf("asked alone in calls %v, want %v", trials, want)
	}
	mild := simulator(t, zimsim.Config{Unsettled: zimsim.Unsettled{LongestID: 64}}, users)
	elsewhere := r.course().Settings
	elsewhere.BaseURL = mild.URL()
	if err := r.Set(elsewhere); err != nil {
		t.Fatal(err)
	}
	for call := range 64 {
		out := r.ask(t.Context(), users)
		if len(out.missed) == 0 {
			break
		}
		if call == 63 {
			t.Fatal("the suspect was never asked again")
		}
	}
	if out := r.ask(t.Context(), users); out.asked.Requests != 1 || len(out.observed) != 100 {
		t.Errorf("%d requests after the acquittal, want 1", out.asked.Requests)
	}
}

// When everything is refused, with the code of a bad id, the ids are not to
// blame: few requests, nobody condemned, and no trace in later calls.
func TestEverythingIsRefused(t *testing.T) {
	users := numbered(1000)
	s := simulator(t, zimsim.Config{Faults: []zimsim.Fault{{Kind: zimsim.Code, Code: 2}}}, users)
	r := newRig(t, s.URL())
	asked := []Asked{}
	for range 3 {
		out := r.ask(t.Context(), users)
		if out.err != nil || len(out.observed) > 0 || out.counts()[presence.MissFailed] != 1000 {
			t.Errorf("%d observed, missed %v, %v", len(out.observed), out.counts(), out.err)
		}
		if e := new(Error); !errors.As(out.asked.Failure, &e) || e.Code != 2 {
			t.Errorf("the failure is %v, want code 2", out.asked.Failure)
		}
		if out.asked.Requests > 10*40 {
			t.Errorf("%d requests for 10 batches", out.asked.Requests)
		}
		asked = append(asked, out.asked)
	}
	s.ClearFaults()
	out := r.ask(t.Context(), users)
	if out.err != nil || len(out.observed) != 1000 || out.asked.Requests != 10 {
		t.Errorf("afterwards %d observed in %d requests, %v", len(out.observed), out.asked.Requests, out.err)
	}
	out.checkTrue(t, s)
	r.checkBooks(s, append(asked, out.asked)...)
}

// The same, passing while a batch is being split, at whatever moment: no good id
// becomes a suspect.
func TestARefusalThatPassesIsNobodysFault(t *testing.T) {
	users := numbered(100)
	s := simulator(t, zimsim.Config{}, users)
	r := newRig(t, s.URL())
	for strikes := 1; strikes <= 40; strikes++ {
		if err := s.AddFaults(zimsim.Fault{Kind: zimsim.Code, Code: 2, Count: strikes}); err != nil {
			t.Fatal(err)
		}
		out := r.ask(t.Context(), users)
		out.checkTrue(t, s)
		if n := len(r.suspectsNow()); out.err != nil || n != 0 || out.counts()[presence.MissRefused] != 0 {
			t.Errorf("%d strikes: %d suspects, missed %v, %v", strikes, n, out.counts(), out.err)
		}
		if strikes < 8 && len(out.observed) != 100 {
			t.Errorf("%d strikes: %d observed, want 100", strikes, len(out.observed))
		}
		s.ClearFaults()
	}
}

// Splitting in bad weather: halves that fail for another reason are insisted on.
func TestSplittingInBadWeather(t *testing.T) {
	users, ids := bad(100, 3, 64)
	faults, err := zimsim.ParseFaults("http:503@0.2x6,cut_body@0.2x3,code:7@0.1x1")
	if err != nil {
		t.Fatal(err)
	}
	s := simulator(t, zimsim.Config{Seed: 5, Faults: faults}, numbered(100))
	r := newRig(t, s.URL())
	asked := r.checkSplit(s, users, ids, 60)
	r.checkBooks(s, asked)
}
