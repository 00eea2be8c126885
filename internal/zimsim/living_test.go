package zimsim

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// still is a living population that moves only when the test advances it.
func still(t testing.TB, l Living, seed uint64) *living {
	p, err := newLiving(l, seed, clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *living) states() map[string]State {
	states := map[string]State{}
	for i, s := range p.souls {
		states[UserName(i+1)] = s.state
	}
	return states
}

// The same seed and elapsed time give the same users and the same history, however the time was cut.
func TestLivingIsDeterministic(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		seed := rapid.Uint64().Draw(r, "seed")
		l := Living{Users: 50, Speed: rapid.SampledFrom([]float64{1, 7.5, 1000}).Draw(r, "speed"), Hour: 9}
		stops := rapid.SliceOfN(rapid.Int64Range(1, int64(time.Hour)), 1, 20).Draw(r, "stops")
		one, cut := still(t, l, seed), still(t, l, seed)
		var end time.Duration
		for _, s := range stops {
			end += time.Duration(float64(s) / one.Speed)
			cut.advanceTo(end)
		}
		one.advanceTo(end)
		if diff := cmp.Diff(one.states(), cut.states()); diff != "" {
			r.Fatal(diff)
		}
		near := cmp.Comparer(func(a, b time.Time) bool { return a.Sub(b).Abs() < time.Microsecond })
		if diff := cmp.Diff(one.history.last(), cut.history.last(), near); diff != "" {
			r.Fatal(diff)
		}
	})
}

func TestLivingSeedMatters(t *testing.T) {
	a, b := still(t, Living{Users: 100}, 1), still(t, Living{Users: 100}, 2)
	if cmp.Equal(a.states(), b.states()) {
		t.Error("two seeds, the same hundred users")
	}
}

// The history, applied to the states at the start, gives the states at every stop; each change begins where the
// user's last one ended, and lies between the stops that it happened between.
func TestLivingHistory(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := still(t, Living{Users: 30, Speed: 100, Hour: 15}, rapid.Uint64().Draw(r, "seed"))
		states := p.states()
		var seq uint64
		var now time.Duration
		for range rapid.IntRange(1, 20).Draw(r, "stops") {
			before := now
			now += time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(r, "step"))
			p.advanceTo(now)
			for _, c := range p.history.since(seq) {
				if c.Seq != seq+1 || c.From != states[c.User] || c.To == c.From {
					r.Fatalf("change %+v behind number %d with the user %v", c, seq, states[c.User])
				}
				if at := c.At.Sub(p.clock.zero); at <= before || at > now {
					r.Fatalf("change %+v at %v, seen between %v and %v", c, at, before, now)
				}
				states[c.User], seq = c.To, c.Seq
			}
			if diff := cmp.Diff(p.states(), states); diff != "" {
				r.Fatal(diff)
			}
		}
	})
}

// count advances a simulated day and counts the changes to each state by hour.
func count(t *testing.T, l Living) (byHour [24]map[State]int) {
	p := still(t, l, 3)
	for h := range 24 {
		seq := p.history.seq
		p.advanceTo(time.Duration(h+1) * time.Hour)
		byHour[h] = map[State]int{}
		for _, c := range p.history.since(seq) {
			byHour[h][c.To]++
		}
	}
	return byHour
}

func TestLivingDayAndNight(t *testing.T) {
	byHour := count(t, Living{Users: 2000})
	day, night := byHour[15][Online]+byHour[16][Online], byHour[3][Online]+byHour[4][Online]
	if night == 0 || day < 3*night {
		t.Errorf("%d logins around 16:00, %d around 04:00, want three times as many", day, night)
	}
	shifted := count(t, Living{Users: 2000, Hour: 12})
	day, night = shifted[3][Online]+shifted[4][Online], shifted[15][Online]+shifted[16][Online]
	if night == 0 || day < 3*night {
		t.Errorf("started at noon: %d logins around 16:00, %d around 04:00", day, night)
	}
}

// Of the sessions, 30 % lose the heartbeat, and e^(-35/60) = 56 % of those for longer than 35 s.
func TestLivingLoss(t *testing.T) {
	lost, left := 0, 0
	for _, hour := range count(t, Living{Users: 2000}) {
		lost += hour[Timeout]
		left += hour[LoggedOut]
	}
	if share := float64(lost) / float64(lost+left); share < 0.16 || share > 0.23 {
		t.Errorf("share of visible losses %.3f, want about 0.194", share)
	}
	for h, hour := range count(t, Living{Users: 500, Loss: -1}) {
		if hour[Timeout] > 0 {
			t.Errorf("hour %d: %d timeouts without losses", h, hour[Timeout])
		}
	}
}

// A lost heartbeat is seen 35 simulated seconds after it stopped, and never sooner after a login.
func TestLivingHeartbeat(t *testing.T) {
	p := still(t, Living{Users: 2000, Session: 10 * time.Second, Hour: 15}, 5)
	p.advanceTo(time.Hour)
	login, quick := map[string]time.Time{}, 0
	for _, c := range p.history.last() {
		since, seen := login[c.User]
		switch {
		case c.To == Online:
			login[c.User] = c.At
		case !seen:
		case c.To == Timeout && c.At.Sub(since) < heartbeat:
			t.Errorf("%s: timeout %v after the login", c.User, c.At.Sub(since))
		case c.To == LoggedOut && c.At.Sub(since) < heartbeat:
			quick++
		}
	}
	if quick == 0 {
		t.Error("no logout was faster than the heartbeat")
	}
}

func TestLivingSet(t *testing.T) {
	c := startClock()
	p, err := newLiving(Living{Users: 3, Speed: 1e-9}, 1, c, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.set(map[string]State{"user-000001": Online, "user-000004": Online}); err == nil {
		t.Error("set a user that is not there: no error")
	}
	p.souls[1].fading = true
	for _, want := range []State{Online, Online, Timeout, LoggedOut, Online} {
		if _, err := p.set(map[string]State{"user-000002": want}); err != nil {
			t.Fatal(err)
		}
		if got, known := p.known("user-000002"); got != want || !known {
			t.Errorf("got %v, want %v", got, want)
		}
		if p.souls[1].fading {
			t.Errorf("set to %v, and still about to time out", want)
		}
	}
	changes, _ := p.changes(0)
	for _, c := range changes {
		if c.From == c.To {
			t.Errorf("no change in the history: %+v", c)
		}
	}
	if len(changes) < 3 {
		t.Errorf("got %d changes, want at least 3", len(changes))
	}
}

func TestUserName(t *testing.T) {
	p := &living{Living: Living{Users: 2_000_000}}
	for _, n := range []int{1, 9, 10, 999_999, 1_000_000, 1_234_567, 2_000_000} {
		if got, ok := p.number(UserName(n)); !ok || int(got) != n-1 {
			t.Errorf("%s: got %d, %v", UserName(n), got, ok)
		}
	}
	for _, name := range []string{"", "user-", "user-1", "user-000000", "user-0000001", "user-2000001", "user-00000x",
		"User-000001", "user-+00001", "user-99999999999"} {
		if _, ok := p.number(name); ok {
			t.Errorf("%q: taken for a user", name)
		}
	}
	if got := UserName(42); got != "user-000042" {
		t.Errorf("got %q", got)
	}
}

func TestLivingRefusals(t *testing.T) {
	for _, bad := range []Living{{}, {Users: -1}, {Users: 1, Speed: -1}, {Users: 1, Hour: 25}, {Users: 1, Loss: 2}, {Users: 1, Night: 2}} {
		if _, err := bad.withDefaults(); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
}

func TestHistoryBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		total := uint64(rapid.IntRange(0, 100).Draw(t, "total"))
		h := newHistory(limit)
		for range total {
			h.add("a", time.Time{}, LoggedOut, Online)
		}
		since := uint64(rapid.IntRange(0, 120).Draw(t, "since"))
		var got, want []uint64
		for _, c := range h.since(since) {
			got = append(got, c.Seq)
		}
		for seq := max(since, total-min(total, uint64(limit))) + 1; seq <= total; seq++ {
			want = append(want, seq)
		}
		if diff := cmp.Diff(got, want); diff != "" || len(h.kept) > 2*limit {
			t.Fatalf("%d in memory; %s", len(h.kept), diff)
		}
	})
	off := newHistory(-1)
	off.add("a", time.Time{}, LoggedOut, Online)
	if got := off.since(0); got != nil || off.dropped() != 1 {
		t.Errorf("switched off: got %v, dropped %d", got, off.dropped())
	}
}

func TestScriptedHistory(t *testing.T) {
	c := startClock()
	p := newScripted(c, 0)
	for _, states := range []map[string]State{{"b": Timeout, "a": Online}, {"a": Online, "c": LoggedOut}, {"a": LoggedOut}} {
		if _, err := p.set(states); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	changes, _ := p.changes(0)
	for _, c := range changes {
		got = append(got, fmt.Sprintf("%d %s %v %v %s", c.Seq, c.User, c.From, c.To, c.Detail))
	}
	want := []string{"1 a logged_out online ", "2 b logged_out timeout timeout", "3 a online logged_out no_session"}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Error(diff)
	}
	states := maps.Collect(p.truth(func(time.Time) {}))
	if diff := cmp.Diff(states, map[string]State{"a": LoggedOut, "b": Timeout, "c": LoggedOut}); diff != "" {
		t.Error(diff)
	}
}
