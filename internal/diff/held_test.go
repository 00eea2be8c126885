package diff

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zim-presence/poller/presence"
)

func says(no uint32, s presence.Status) presence.Observation {
	o := presence.Observation{User: user(no), Status: s}
	if s == presence.Offline {
		o.Detail = presence.Timeout
	}
	return o
}

// online returns a memory of users who are told online, as of the start.
func online(hold Hold, users uint32) *Memory {
	m := New(0)
	for no := range users {
		m.Add(presence.State{User: user(no + 1), Watched: true, Status: presence.Online, ObservedAt: at(0)}, at(0))
	}
	m.SetHold(hold, nil)
	return m
}

// An answer that was asked for before a newer one was, and comes behind it, says
// nothing any more: neither does it end what waits, nor change what is told.
func TestOvertakenAnswer(t *testing.T) {
	for _, hold := range []time.Duration{time.Second, time.Minute} {
		m := online(Hold{Offline: hold}, 1)
		m.Observe(answered(10, says(1, presence.Offline)), 1)
		if len(m.Due(at(100), 1)) != 1 {
			t.Fatal("nobody is to be asked again")
		}
		m.Observe(answered(20, says(1, presence.Offline)), 1)
		events := len(m.Take().Transitions)
		for _, read := range []int{19, 21} { // before the newer one was asked for, and beside it
			late := presence.Answer{AskedAt: at(18), At: at(read), Observations: []presence.Observation{says(1, presence.Online)}}
			if m.Observe(late, 1); m.Held() != 1-events || !m.Take().Empty() {
				t.Errorf("hold %s: an answer read at %d is heard: %d held", hold, read, m.Held())
			}
		}
		same := presence.Answer{AskedAt: at(20), At: at(21), Observations: []presence.Observation{says(1, presence.Online)}}
		if m.Observe(same, 1); m.Held() != 0 || m.Take().Empty() {
			t.Errorf("hold %s: an answer asked for at the same moment is not heard", hold)
		}
	}
}

// A clock that is behind what the ledger knows makes no answer an old one.
func TestNothingIsOvertakenByTheFuture(t *testing.T) {
	m := New(0)
	m.Add(presence.State{User: user(1), Watched: true, Status: presence.Online, ObservedAt: at(3600)}, at(3600))
	m.SetHold(Hold{Offline: 5 * time.Second}, nil)
	m.AddHeld(presence.Held{User: user(1), To: presence.Offline, After: at(3600), SeenAt: at(3601)})
	m.Due(at(9999), 1)
	if m.Observe(answered(10, says(1, presence.Online)), 1); m.Held() != 0 {
		t.Error("an answer is passed over")
	}
}

// No event of a user is before the one before, whatever the clock does, and across
// restarts.
func TestUserNeverStepsBack(t *testing.T) {
	m := New(0)
	m.Add(presence.State{User: user(1), Watched: true, Status: presence.Online, Since: at(50), ObservedAt: at(90)}, at(80))
	m.Observe(answered(10, says(1, presence.Offline)), 1)
	m.Observe(answered(11, presence.Observation{User: user(1), Status: presence.Offline, Detail: presence.NoSession}), 1)
	c := m.Take()
	if e := c.Transitions[0]; !e.ObservedAt.Equal(at(90)) || e.After.After(e.ObservedAt) || !c.States[0].ObservedAt.Equal(at(90)) || !c.States[0].Since.Equal(at(90)) {
		t.Errorf("told %+v, state %+v; want both as of what was told before", e, c.States[0])
	}
	m.SetHold(Hold{Online: time.Second}, nil)
	m.Observe(answered(12, says(1, presence.Online)), 1)
	m.Observe(answered(200, says(1, presence.Online)), 1)
	m.Observe(answered(150, says(1, presence.Offline)), 1)
	events := m.Take().Transitions
	if len(events) != 2 || !events[0].ObservedAt.Equal(at(90)) || !events[0].ConfirmedAt.Equal(at(200)) || !events[1].ObservedAt.Equal(at(200)) {
		t.Errorf("told %+v; want as of 90, confirmed 200, and as of 200", events)
	}
	m.BeginWatchlist()
	m.EndWatchlist(at(3), 2)
	if e := m.Take().Transitions[0]; !e.ObservedAt.Equal(at(200)) {
		t.Errorf("removed as of %s", e.ObservedAt)
	}
}

// What can be told no more is settled when it is loaded.
func TestLoadedAndVoid(t *testing.T) {
	m := online(Hold{Offline: time.Minute, Online: time.Minute}, 2)
	m.Add(presence.State{User: user(5), Watched: true, Status: presence.Online, Since: at(1), ObservedAt: at(3)}, at(3))
	m.Add(presence.State{User: user(3), Watched: true}, time.Time{})
	for no, to := range map[uint32]presence.Status{1: presence.Online, 2: presence.Offline, 3: presence.Online, 4: presence.Offline, 5: presence.Offline} {
		m.AddHeld(presence.Held{User: user(no), To: to, After: at(1), SeenAt: at(2)})
	}
	c := m.Take()
	slices.Sort(c.Settled)
	if diff := cmp.Diff(presence.Changes{Settled: []uint32{1, 3, 4, 5}}, c); diff != "" || m.Held() != 1 {
		t.Errorf("%d held; changes (-want +got):\n%s", m.Held(), diff)
	}
}

// Within one commit only the outcome is written.
func TestHeldAndSettledInOneCommit(t *testing.T) {
	m := online(Hold{Offline: time.Minute}, 1)
	m.Observe(answered(1, says(1, presence.Offline)), 1)
	m.Observe(answered(2, says(1, presence.Online)), 1)
	if c := m.Take(); !c.Empty() {
		t.Errorf("%+v, want nothing", c)
	}
	m.Observe(answered(3, says(1, presence.Offline)), 1)
	m.Take()
	m.Observe(answered(4, says(1, presence.Online)), 1)
	m.Observe(answered(5, says(1, presence.Offline)), 1)
	want := presence.Changes{Held: []presence.Held{{User: user(1), To: presence.Offline, Detail: presence.Timeout, After: at(4).Add(-250 * time.Millisecond), SeenAt: at(5)}}}
	if diff := cmp.Diff(want, m.Take()); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	m.Observe(answered(6, says(1, presence.Online)), 1)
	if diff := cmp.Diff(presence.Changes{Settled: []uint32{1}}, m.Take()); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// When to ask again goes by the hold that is now in force, and who is being asked
// about is not due meanwhile.
func TestDue(t *testing.T) {
	m := online(Hold{Offline: time.Minute}, 3)
	for no := uint32(1); no <= 3; no++ {
		m.Observe(answered(int(no), says(no, presence.Offline)), 1)
	}
	if at, ok := m.NextDue(); !ok || !at.Equal(start.Add(61*time.Second)) {
		t.Errorf("next at %s, want a minute behind the first", at)
	}
	if got := m.Due(at(60), 9); len(got) != 0 {
		t.Errorf("due too early: %v", got)
	}
	first := m.Due(at(100), 2)
	if diff := cmp.Diff([]presence.User{user(1), user(2)}, first); diff != "" {
		t.Errorf("due (-want +got):\n%s", diff)
	}
	m.SetHold(Hold{Offline: time.Hour}, nil)
	if at, ok := m.NextDue(); !ok || !at.Equal(start.Add(3603*time.Second)) {
		t.Errorf("next at %s, want an hour behind the third: the others are being asked about", at)
	}
	m.AskedAgain(first, at(100))
	if got := m.Due(at(105), 9); !slices.Equal(got, first) {
		t.Errorf("due %v, want the same again after a pause", got)
	}
}

// Canaries are the freshest, by chance among equals, and nobody of whom a change
// waits.
func TestSampleOnline(t *testing.T) {
	m := online(Hold{Offline: time.Minute}, 100)
	for no := uint32(41); no <= 70; no++ {
		m.Observe(answered(5, says(no, presence.Online)), 1)
	}
	m.Observe(answered(6, says(41, presence.Offline), says(1, presence.Offline)), 1)
	drawn := map[uint32]int{}
	for seed := range uint64(50) {
		users := m.SampleOnline(10, rand.New(rand.NewPCG(seed, 1)))
		if len(users) != 10 {
			t.Fatalf("%d drawn, want 10", len(users))
		}
		for _, u := range users {
			if u.No < 42 || u.No > 70 {
				t.Fatalf("user %d is drawn, who is not the freshest", u.No)
			}
			drawn[u.No]++
		}
	}
	if len(drawn) != 29 {
		t.Errorf("%d of 29 are ever drawn", len(drawn))
	}
	if all := m.SampleOnline(200, rand.New(rand.NewPCG(1, 1))); len(all) != 98 {
		t.Errorf("%d of 98 are drawn when there is room for all", len(all))
	}
	if none := m.SampleOnline(0, rand.New(rand.NewPCG(1, 1))); len(none) != 0 {
		t.Errorf("%v are drawn of nobody", none)
	}
}
