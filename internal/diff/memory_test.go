package diff

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/zim-presence/poller/presence"
)

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func at(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }

func user(no uint32) presence.User {
	return presence.User{No: no, ID: fmt.Sprintf("user-%d", no)}
}

// answered is an answer at a second, asked for a quarter of one earlier.
func answered(second int, observations ...presence.Observation) presence.Answer {
	return presence.Answer{AskedAt: at(second).Add(-250 * time.Millisecond), At: at(second), Observations: observations}
}

func TestObserve(t *testing.T) {
	const sweep = 7
	asked := at(1).Add(-250 * time.Millisecond)
	known := presence.State{User: user(3), Watched: true, Status: presence.Online, LastSeq: 5}
	for _, c := range []struct {
		name    string
		state   presence.State
		observe presence.Observation
		want    presence.Changes
	}{
		{
			"first answer is a baseline", presence.State{User: user(3), Watched: true, LastSeq: 2},
			presence.Observation{User: user(3), Status: presence.Offline, Detail: presence.NoSession},
			presence.Changes{
				Transitions: []presence.Transition{{
					Seq: 11, PrevSeq: 2, User: user(3), Kind: presence.KindBaseline, From: presence.Unknown,
					To: presence.Offline, Detail: presence.NoSession, ObservedAt: at(1), Sweep: sweep,
				}},
				States: []presence.State{{
					User: user(3), Watched: true, Status: presence.Offline, Detail: presence.NoSession,
					Since: at(1), ObservedAt: at(1), AskedAt: asked, LastSeq: 11,
				}},
			},
		},
		{
			"a change is a transition", known,
			presence.Observation{User: user(3), Status: presence.Offline, Detail: presence.Timeout},
			presence.Changes{
				Transitions: []presence.Transition{{
					Seq: 11, PrevSeq: 5, User: user(3), Kind: presence.KindOffline, From: presence.Online,
					To: presence.Offline, Detail: presence.Timeout, After: at(0), ObservedAt: at(1), Sweep: sweep,
				}},
				States: []presence.State{{
					User: user(3), Watched: true, Status: presence.Offline, Detail: presence.Timeout,
					Since: at(1), ObservedAt: at(1), AskedAt: asked, LastSeq: 11,
				}},
			},
		},
		{
			"another detail alone is no transition",
			presence.State{User: user(3), Watched: true, Status: presence.Offline, Detail: presence.Timeout, LastSeq: 5},
			presence.Observation{User: user(3), Status: presence.Offline, Detail: presence.NoSession},
			presence.Changes{States: []presence.State{{
				User: user(3), Watched: true, Status: presence.Offline, Detail: presence.NoSession,
				ObservedAt: at(1), AskedAt: asked, LastSeq: 5,
			}}},
		},
		{"the same again is nothing", known, presence.Observation{User: user(3), Status: presence.Online}, presence.Changes{}},
		{"unknown is no answer", known, presence.Observation{User: user(3)}, presence.Changes{}},
		{"a stranger is passed over", known, presence.Observation{User: user(4), Status: presence.Offline}, presence.Changes{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := New(10)
			m.Add(c.state, at(0))
			m.Observe(answered(1, c.observe), sweep)
			if diff := cmp.Diff(c.want, m.Take()); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if again := m.Take(); !again.Empty() {
				t.Errorf("taken twice: %+v", again)
			}
		})
	}
}

// After is when the newest answer with the old status was asked for: the user
// may have changed between that request's answer being made and being read.
func TestAfterIsTheLastRequestThatSaidTheOldStatus(t *testing.T) {
	m := New(0)
	m.Add(presence.State{User: user(1), Watched: true, Status: presence.Online}, at(0))
	m.Observe(answered(5, presence.Observation{User: user(1), Status: presence.Online}), 1)
	m.Observe(answered(9, presence.Observation{User: user(1), Status: presence.Offline}), 2)
	got := m.Take().Transitions[0].After
	if want := at(5).Add(-250 * time.Millisecond); !got.Equal(want) {
		t.Errorf("after = %s, want %s", got, want)
	}
	m.Observe(answered(2, presence.Observation{User: user(1), Status: presence.Online}), 3)
	if tr := m.Take().Transitions[0]; tr.After.After(tr.ObservedAt) {
		t.Errorf("clock set back: after %s is behind observed_at %s", tr.After, tr.ObservedAt)
	}
}

func TestDetailAfterStatusKeepsSince(t *testing.T) {
	m := New(0)
	m.Add(presence.State{User: user(1), Watched: true, Status: presence.Online}, at(0))
	m.Observe(answered(1, presence.Observation{User: user(1), Status: presence.Offline, Detail: presence.Timeout}), 1)
	m.Observe(answered(2, presence.Observation{User: user(1), Status: presence.Offline, Detail: presence.NoSession}), 1)
	states := m.Take().States
	if len(states) != 1 || !states[0].Since.Equal(at(1)) || states[0].Detail != presence.NoSession {
		t.Errorf("states = %+v, want one, since %s, no_session", states, at(1))
	}
}

func TestWatchlist(t *testing.T) {
	m := New(0)
	for no := uint32(1); no <= 3; no++ {
		m.Add(presence.State{User: user(no), Watched: true}, time.Time{})
	}
	m.Observe(answered(1,
		presence.Observation{User: user(1), Status: presence.Online},
		presence.Observation{User: user(2), Status: presence.Offline}), 1)
	m.Take()

	m.BeginWatchlist()
	for id, want := range map[string]bool{"user-2": true, "user-4": false} {
		if got := m.Mark([]byte(id)); got != want {
			t.Errorf("Mark(%s) = %t, want %t", id, got, want)
		}
	}
	m.Add(presence.State{User: user(4), Watched: true, LastSeq: 99}, time.Time{})
	if got := m.EndWatchlist(at(3), 2); got != 2 {
		t.Errorf("removed %d, want 2", got)
	}
	want := presence.Changes{
		Transitions: []presence.Transition{{
			Seq: 3, PrevSeq: 1, User: user(1), Kind: presence.KindRemoved, From: presence.Online,
			After: at(1).Add(-250 * time.Millisecond), ObservedAt: at(3), Sweep: 2,
		}},
		States: []presence.State{
			{User: user(1), Since: at(3), ObservedAt: at(3), AskedAt: at(3), LastSeq: 3},
			{User: user(3)}, // never answered: nobody was told, so nobody is untold
		},
	}
	got := m.Take()
	slices.SortFunc(got.States, func(a, b presence.State) int { return int(a.User.No) - int(b.User.No) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	m.Observe(answered(4, presence.Observation{User: user(4), Status: presence.Online}), 3)
	if tr := m.Take().Transitions[0]; tr.Kind != presence.KindBaseline || tr.PrevSeq != 99 {
		t.Errorf("who came back: %+v, want a baseline behind event 99", tr)
	}
	var left []uint32
	for u := range m.Users() {
		left = append(left, u.No)
	}
	slices.Sort(left)
	if diff := cmp.Diff([]uint32{2, 4}, left); diff != "" || m.Len() != 2 {
		t.Errorf("users (-want +got):\n%s", diff)
	}
}

// Who is not marked is counted before anybody is removed, and stays when nobody
// is.
func TestUnmarked(t *testing.T) {
	m := New(0)
	for no := range uint32(10) {
		m.Add(presence.State{User: user(no + 1), Watched: true, Status: presence.Online}, at(0))
	}
	for range 300 { // more readings than there are marks
		m.BeginWatchlist()
		m.Mark([]byte("user-1"))
		m.Mark([]byte("user-1")) // twice, which a list never does
		m.Mark([]byte("user-2"))
		m.Mark([]byte("stranger"))
		m.Add(presence.State{User: user(2)}, at(0))
		if got := m.Unmarked(); got != 8 || m.Len() != 10 || m.Pending() != 0 {
			t.Fatalf("%d of %d unmarked, %d events; want 8 of 10 and none", got, m.Len(), m.Pending())
		}
	}
	m.Add(presence.State{User: user(11)}, at(0))
	if got := m.Unmarked(); got != 8 {
		t.Errorf("%d unmarked beside a new user, want 8", got)
	}
	if got := m.EndWatchlist(at(1), 1); got != 8 || m.Len() != 3 || m.Unmarked() != 0 {
		t.Errorf("%d removed, %d left, %d unmarked; want 8, 3, 0", got, m.Len(), m.Unmarked())
	}
}

func TestMarksSurviveManyWatchlists(t *testing.T) {
	m := New(0)
	m.Add(presence.State{User: user(1), Watched: true}, time.Time{})
	for i := range 600 {
		m.BeginWatchlist()
		m.Mark([]byte("user-1"))
		if got := m.EndWatchlist(at(i), int64(i)); got != 0 {
			t.Fatalf("watchlist %d removed %d users, want 0", i, got)
		}
	}
	for range 255 {
		m.BeginWatchlist() // read in part only, again and again
	}
	if got := m.EndWatchlist(at(0), 1); got != 1 {
		t.Errorf("removed %d, want 1", got)
	}
}

// script is a run of the memory against a plain model of it.
type script struct {
	memory *Memory
	model  map[string]presence.State // what applying every change leads to
	truth  map[string]presence.Observation
	seq    int64
}

func (s *script) fold(c presence.Changes) error {
	for _, tr := range c.Transitions {
		before := s.model[tr.User.ID]
		s.seq++
		switch kind, ok := presence.KindOf(tr.From, tr.To); {
		case tr.Seq != s.seq:
			return fmt.Errorf("seq %d follows %d", tr.Seq, s.seq-1)
		case tr.PrevSeq != before.LastSeq:
			return fmt.Errorf("event %d of %s: prev_seq %d, want %d", tr.Seq, tr.User.ID, tr.PrevSeq, before.LastSeq)
		case tr.From != before.Status || !ok || kind != tr.Kind:
			return fmt.Errorf("event %d of %s: %s from %s to %s, but the status was %s", tr.Seq, tr.User.ID, tr.Kind, tr.From, tr.To, before.Status)
		}
		before.User, before.Status, before.Detail, before.LastSeq = tr.User, tr.To, tr.Detail, tr.Seq
		s.model[tr.User.ID] = before
	}
	for _, st := range c.States {
		folded := s.model[st.User.ID]
		if st.Status != folded.Status || st.LastSeq != folded.LastSeq {
			return fmt.Errorf("state of %s: %s at %d, the events say %s at %d", st.User.ID, st.Status, st.LastSeq, folded.Status, folded.LastSeq)
		}
		s.model[st.User.ID] = st
	}
	return nil
}

// step reads one instruction from two bytes: which user, and what is answered.
func (s *script) step(n int, who, what byte) {
	u := user(uint32(who%16) + 1)
	o := presence.Observation{User: u}
	switch what % 8 {
	case 0: // a miss
		s.memory.Observe(presence.Answer{AskedAt: at(n), At: at(n), Missed: []presence.Miss{{User: u}}}, 1)
		return
	case 1:
		s.watch(n, u, false)
		return
	case 2:
		s.watch(n, u, true)
		return
	case 3, 4:
		o.Status = presence.Online
	case 5, 6:
		o.Status, o.Detail = presence.Offline, presence.Timeout
	case 7:
		o.Status, o.Detail = presence.Offline, presence.NoSession
	}
	if _, watched := s.truth[u.ID]; watched {
		s.truth[u.ID] = o
	}
	s.memory.Observe(answered(n, o), int64(n))
}

// watch reads a watchlist in which only u has come or gone.
func (s *script) watch(n int, u presence.User, watched bool) {
	if _, before := s.truth[u.ID]; before && !watched {
		delete(s.truth, u.ID)
	} else if !before && watched {
		s.truth[u.ID] = presence.Observation{User: u}
	}
	s.memory.BeginWatchlist()
	for id, o := range s.truth {
		if !s.memory.Mark([]byte(id)) {
			s.memory.Add(presence.State{User: o.User, Watched: true, LastSeq: s.lastSeq(id)}, time.Time{})
		}
	}
	s.memory.EndWatchlist(at(n), int64(n))
}

// lastSeq is what the ledger would say of a user who comes back.
func (s *script) lastSeq(id string) int64 {
	if err := s.fold(s.memory.Take()); err != nil {
		panic(err)
	}
	return s.model[id].LastSeq
}

func run(program []byte) error {
	s := &script{memory: New(0), model: map[string]presence.State{}, truth: map[string]presence.Observation{}}
	for n := 0; n+1 < len(program); n += 2 {
		s.step(n, program[n], program[n+1])
		if program[n]&0x40 != 0 { // commits come at any moment
			if err := s.fold(s.memory.Take()); err != nil {
				return err
			}
		}
	}
	if err := s.fold(s.memory.Take()); err != nil {
		return err
	}
	for id, o := range s.truth {
		if got := s.model[id]; got.Status != o.Status || got.Detail != o.Detail {
			return fmt.Errorf("%s is %s %s, was last answered %s %s", id, got.Status, got.Detail, o.Status, o.Detail)
		}
	}
	for id, st := range s.model {
		if _, watched := s.truth[id]; !watched && st.Status != presence.Unknown {
			return fmt.Errorf("%s left and is still %s", id, st.Status)
		}
	}
	return nil
}

func TestTransitionsLeadFromOldToNew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if err := run(rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "program")); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzTransitionsLeadFromOldToNew(f *testing.F) {
	f.Add([]byte{1, 2, 1, 3, 1, 5, 1, 0, 1, 1, 1, 2, 65, 7})
	f.Add([]byte{1, 2, 2, 2, 66, 3, 1, 3, 1, 1, 2, 5, 2, 7})
	f.Fuzz(func(t *testing.T, program []byte) {
		if err := run(program); err != nil {
			t.Errorf("%v: %v", program, err)
		}
	})
}

// The index against a map, at sizes at which it grows and wraps around.
func TestIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, want := New(0), map[string]bool{}
		for range rapid.IntRange(0, 300).Draw(t, "steps") {
			id := fmt.Sprint(rapid.IntRange(1, 60).Draw(t, "id"))
			if rapid.Bool().Draw(t, "add") {
				m.Add(presence.State{User: presence.User{ID: id}}, time.Time{})
				want[id] = true
			} else if r := m.find(id); r != nil {
				m.remove(r, at(0), 1)
				delete(want, id)
			}
			for n := range 61 {
				id := fmt.Sprint(n)
				if r := m.find(id); (r != nil) != want[id] || r != nil && r.id != id {
					t.Fatalf("find(%s) = %v, want it %t", id, r, want[id])
				}
			}
			if m.Len() != len(want) {
				t.Fatalf("Len = %d, want %d", m.Len(), len(want))
			}
		}
	})
}

func TestBitmaps(t *testing.T) {
	m := New(0)
	var wantOnline, wantKnown []uint32
	random := rand.New(rand.NewPCG(1, 2))
	for no := uint32(1); no <= 10_000; no++ {
		s := presence.State{User: user(no), Watched: true, Status: presence.Status(random.IntN(3))}
		m.Add(s, at(0))
		if s.Status == presence.Online {
			wantOnline = append(wantOnline, no)
		}
		if s.Status != presence.Unknown {
			wantKnown = append(wantKnown, no)
		}
	}
	online, known, err := m.Bitmaps()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		bytes []byte
		want  []uint32
	}{"online": {online, wantOnline}, "known": {known, wantKnown}} {
		b := roaring.New()
		if err := b.UnmarshalBinary(c.bytes); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, b.ToArray()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// BenchmarkMemory prints the heap that a watched user costs, ids of 20 bytes
// included. The target for the whole daemon is 150 bytes.
func BenchmarkMemory(b *testing.B) {
	const users = 1_000_000
	for b.Loop() {
		before := heapInUse()
		m := New(0)
		for no := range uint32(users) {
			m.Add(presence.State{User: presence.User{No: no, ID: fmt.Sprintf("user-%015d", no)}, Watched: true}, at(0))
		}
		b.ReportMetric(float64(heapInUse()-before)/users, "heap-B/user")
		runtime.KeepAlive(m)
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

func BenchmarkObserveUnchanged(b *testing.B) {
	const users = 1_000_000
	m := New(0)
	answers := make([]presence.Answer, users/100)
	for no := range uint32(users) {
		u := user(no)
		m.Add(presence.State{User: u, Watched: true, Status: presence.Online}, at(0))
		a := &answers[no/100]
		a.AskedAt, a.At = at(1), at(1)
		a.Observations = append(a.Observations, presence.Observation{User: u, Status: presence.Online})
	}
	n := 0
	for b.Loop() {
		m.Observe(answers[n%len(answers)], 1)
		n++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n)/100, "ns/user")
}

// Who is to be told of again gets a baseline, behind the event before and since
// when it was; a change is told as what it is.
func TestTellAgain(t *testing.T) {
	const sweep = 7
	asked := at(1).Add(-250 * time.Millisecond)
	m := New(10)
	for no := uint32(1); no <= 3; no++ {
		m.Add(presence.State{User: user(no), Watched: true, Status: presence.Online, LastSeq: int64(no)}, at(0))
	}
	m.Add(presence.State{User: user(4), Watched: true}, time.Time{})
	for no, want := range map[uint32]bool{1: true, 2: true, 3: false, 4: false, 5: false} {
		if got := m.TellAgain(user(no).ID, 2); got != want {
			t.Errorf("TellAgain of user %d = %v, want %v", no, got, want)
		}
	}
	m.Observe(answered(1,
		presence.Observation{User: user(1), Status: presence.Online},
		presence.Observation{User: user(2), Status: presence.Offline, Detail: presence.Timeout},
		presence.Observation{User: user(3), Status: presence.Online}), sweep)
	want := []presence.Transition{
		{Seq: 11, PrevSeq: 1, User: user(1), Kind: presence.KindBaseline, From: presence.Unknown, To: presence.Online, ObservedAt: at(1), Sweep: sweep},
		{
			Seq: 12, PrevSeq: 2, User: user(2), Kind: presence.KindOffline, From: presence.Online, To: presence.Offline, Detail: presence.Timeout,
			After: at(0), ObservedAt: at(1), Sweep: sweep,
		},
	}
	changes := m.Take()
	if diff := cmp.Diff(want, changes.Transitions); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	slices.SortFunc(changes.States, func(a, b presence.State) int { return int(a.User.No) - int(b.User.No) })
	again := presence.State{User: user(1), Watched: true, Status: presence.Online, ObservedAt: at(1), AskedAt: asked, LastSeq: 11}
	if len(changes.States) != 2 {
		t.Fatalf("%d states, want 2", len(changes.States))
	}
	if diff := cmp.Diff(again, changes.States[0]); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	m.Observe(answered(2, presence.Observation{User: user(1), Status: presence.Online}, presence.Observation{User: user(2), Status: presence.Offline, Detail: presence.Timeout}), sweep+1)
	if more := m.Take(); !more.Empty() {
		t.Errorf("told once more: %+v", more)
	}
}
