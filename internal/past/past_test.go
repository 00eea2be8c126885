package past

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/zim-presence/poller/presence"
)

// plain is a state as a map; who is unknown is not in it.
type plain map[uint32]presence.Status

func (p plain) set(no uint32, status presence.Status) {
	if delete(p, no); status != presence.Unknown {
		p[no] = status
	}
}

// snapshot is the state as a sweep would store it.
func (p plain) snapshot(t interface{ Fatal(...any) }) *presence.Snapshot {
	online, known := roaring.New(), roaring.New()
	for no, status := range p {
		known.Add(no)
		if status == presence.Online {
			online.Add(no)
		}
	}
	s := &presence.Snapshot{Sweep: 7}
	for into, b := range map[*[]byte]*roaring.Bitmap{&s.Online: online, &s.Known: known} {
		b.RunOptimize()
		data, err := b.ToBytes()
		if err != nil {
			t.Fatal(err)
		}
		*into = data
	}
	return s
}

func restored(t interface{ Fatal(...any) }, s *presence.Snapshot) *State {
	state, err := Restore(s)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func asPlain(s *State) plain {
	p := plain{}
	for no, status := range s.Users() {
		p[no] = status
	}
	return p
}

// numbers are close together, or far apart, in several containers of a bitmap.
func numbers() *rapid.Generator[uint32] {
	return rapid.OneOf(rapid.Uint32Range(1, 20), rapid.Uint32Range(65_530, 65_545), rapid.Uint32Range(1, 1<<31-1))
}

func statuses() *rapid.Generator[presence.Status] {
	return rapid.SampledFrom([]presence.Status{presence.Unknown, presence.Offline, presence.Online})
}

func plains() *rapid.Generator[plain] {
	return rapid.Custom(func(t *rapid.T) plain {
		p := plain{}
		if rapid.Bool().Draw(t, "a run") { // which a bitmap holds in another way
			for no := uint32(1); no <= 200; no++ {
				p[no] = presence.Offline
			}
		}
		for range rapid.IntRange(0, 40).Draw(t, "users") {
			p.set(numbers().Draw(t, "no"), statuses().Draw(t, "status"))
		}
		return p
	})
}

func TestRestoreSaysWhatTheSnapshotHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plains().Draw(t, "state")
		s := restored(t, p.snapshot(t))
		if diff := cmp.Diff(p, asPlain(s)); diff != "" {
			t.Fatalf("restored (-want +got):\n%s", diff)
		}
		online := slices.Collect(s.Online())
		if !slices.IsSorted(online) {
			t.Fatalf("online out of order: %v", online)
		}
		no := numbers().Draw(t, "asked")
		if s.Status(no) != p[no] {
			t.Fatalf("status of %d = %s, want %s", no, s.Status(no), p[no])
		}
		nOnline, nKnown := s.Counts()
		if nOnline != len(online) || nKnown != len(p) {
			t.Fatalf("counts %d and %d, want %d and %d", nOnline, nKnown, len(online), len(p))
		}
		var again presence.Snapshot
		var err error
		if again.Online, again.Known, err = s.Bitmaps(); err != nil {
			t.Fatal(err)
		}
		if !restored(t, &again).Equal(s) {
			t.Fatal("bitmaps, restored, are another state")
		}
	})
}

// The transitions between two snapshots, applied to the first, give the second,
// for everybody; the erased ones among them tell nothing.
func TestTransitionsLeadFromOneSnapshotToTheNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plains().Draw(t, "first")
		s := restored(t, p.snapshot(t))
		before := s.Clone()
		p = maps.Clone(p)
		for range rapid.IntRange(0, 60).Draw(t, "events") {
			no, to := numbers().Draw(t, "no"), statuses().Draw(t, "to")
			kind, changed := presence.KindOf(p[no], to)
			if !changed || rapid.IntRange(0, 9).Draw(t, "erased") == 0 {
				s.Apply(&presence.Transition{Kind: presence.KindErased, User: presence.User{No: no}, From: presence.Unknown, To: presence.Unknown})
				continue
			}
			s.Apply(&presence.Transition{Kind: kind, User: presence.User{No: no}, From: p[no], To: to})
			p.set(no, to)
		}
		second := restored(t, p.snapshot(t))
		if !s.Equal(second) || !second.Equal(s) {
			t.Fatalf("applied (-want +got):\n%s", cmp.Diff(asPlain(second), asPlain(s)))
		}
		if !before.Equal(restored(t, asPlain(before).snapshot(t))) {
			t.Fatal("the copy has changed as well")
		}
	})
}

// Net changes, applied to the first state, give the second; each user once, in
// order, with what both say.
func TestChangesLeadFromOneStateToTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := plains().Draw(t, "a"), plains().Draw(t, "b")
		from, to := restored(t, a.snapshot(t)), restored(t, b.snapshot(t))
		got := slices.Collect(Changes(from, to))
		var want []Change
		for no := range a {
			if a[no] != b[no] {
				want = append(want, Change{no, a[no], b[no]})
			}
		}
		for no := range b {
			if a[no] == presence.Unknown {
				want = append(want, Change{no, presence.Unknown, b[no]})
			}
		}
		slices.SortFunc(want, func(x, y Change) int { return int(int64(x.No) - int64(y.No)) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("changes (-want +got):\n%s", diff)
		}
		if Distance(from, to) != len(want) || from.Equal(to) != (len(want) == 0) {
			t.Fatalf("distance %d, equal %t, with %d changes", Distance(from, to), from.Equal(to), len(want))
		}
		for _, c := range got {
			kind, changed := presence.KindOf(a[c.No], b[c.No])
			if c.Kind() != kind || !changed {
				t.Fatalf("user %d: kind %s, want %s", c.No, c.Kind(), kind)
			}
			from.Set(c.No, c.To)
		}
		if !from.Equal(to) {
			t.Fatal("the changes do not lead to the other state")
		}
	})
}

func TestChangesCanBeLeft(t *testing.T) {
	to := New()
	for no := uint32(1); no <= 9; no++ {
		to.Set(no, presence.Online)
	}
	for c := range Changes(New(), to) {
		if c.No == 3 {
			break
		}
	}
	for no := range to.Users() {
		if no == 3 {
			break
		}
	}
}

func TestRestoreRefusesWhatIsNoSnapshot(t *testing.T) {
	good := plain{1: presence.Online, 2: presence.Offline, 70_000: presence.Online}.snapshot(t)
	for _, c := range []struct {
		name          string
		online, known []byte
		want          string
	}{
		{"garbage", []byte("garbage"), good.Known, "snapshot of sweep 7: who was online: a bitmap of 7 bytes"},
		{"cut off", good.Online, good.Known[:len(good.Known)-1], "who was known"},
		{"too long", append(slices.Clone(good.Online), 0), good.Known, "1 bytes behind its end"},
		{"contradiction", good.Known, good.Online, "1 users are online and not known, the first of them user number 2"},
		{"nobody known", good.Online, nil, "2 users are online and not known, the first of them user number 1"},
	} {
		_, err := Restore(&presence.Snapshot{Sweep: 7, Online: c.online, Known: c.known})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if s := restored(t, &presence.Snapshot{}); !s.Equal(New()) {
		t.Error("no bytes are not the empty state")
	}
}

// What is read may be anything: it is refused, or a state.
func FuzzRestore(f *testing.F) {
	run := plain{}
	for no := uint32(10); no < 3000; no++ {
		run[no] = presence.Online
	}
	for _, p := range []plain{{}, {1: presence.Online, 5: presence.Offline}, run, {1: presence.Online, 1 << 30: presence.Online}} {
		s := p.snapshot(f)
		f.Add(s.Online, s.Known)
	}
	f.Fuzz(func(t *testing.T, online, known []byte) {
		s, err := Restore(&presence.Snapshot{Online: online, Known: known})
		if err != nil {
			return
		}
		if n, _ := s.Counts(); n > 1<<20 {
			return // some bytes can say billions
		}
		seen := 0
		for no, status := range s.Users() {
			if status != s.Status(no) {
				t.Fatalf("user %d is %s and %s", no, status, s.Status(no))
			}
			if seen++; seen > 1<<16 {
				break
			}
		}
		if Distance(s, s.Clone()) != 0 {
			t.Fatal("a state differs from itself")
		}
	})
}

// crowd is a state of 1,000,000 users, 15 % of them online at random, and the
// same with some changed.
func crowd(b *testing.B, changed int) (*presence.Snapshot, *presence.Snapshot) {
	dice := rand.New(rand.NewPCG(1, 2))
	p := plain{}
	for no := uint32(1); no <= 1_000_000; no++ {
		p[no] = presence.Offline
		if dice.IntN(100) < 15 {
			p[no] = presence.Online
		}
	}
	first := p.snapshot(b)
	for range changed {
		no := 1 + dice.Uint32N(1_000_000)
		p[no] = presence.Offline + presence.Online - p[no]
	}
	return first, p.snapshot(b)
}

// BenchmarkChanges prints what the net changes between two snapshots of
// 1,000,000 users take, the reading of both included.
func BenchmarkChanges(b *testing.B) {
	for _, n := range []int{0, 1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			first, second := crowd(b, n)
			changes := 0
			for b.Loop() {
				changes = 0
				for range Changes(restored(b, first), restored(b, second)) {
					changes++
				}
			}
			b.ReportMetric(float64(changes), "changes")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms")
		})
	}
}

// BenchmarkApply prints what an event costs.
func BenchmarkApply(b *testing.B) {
	first, _ := crowd(b, 0)
	s := restored(b, first)
	dice := rand.New(rand.NewPCG(3, 4))
	events := make([]presence.Transition, 100_000)
	for i := range events {
		events[i] = presence.Transition{Kind: presence.KindOnline, User: presence.User{No: 1 + dice.Uint32N(1_000_000)}, To: presence.Status(1 + i%2)}
	}
	n := 0
	for b.Loop() {
		for i := range events {
			s.Apply(&events[i])
		}
		n += len(events)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/event")
}

func TestRestoreCopies(t *testing.T) {
	s := plain{1: presence.Online, 2: presence.Offline}.snapshot(t)
	before := bytes.Clone(s.Known)
	restored(t, s).Set(9, presence.Online)
	if !bytes.Equal(before, s.Known) {
		t.Error("the snapshot's own bytes have changed")
	}
}
