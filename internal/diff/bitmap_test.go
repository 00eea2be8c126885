package diff

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"pgregory.net/rapid"

	"github.com/zim-presence/poller/presence"
)

// Numbers may lie far apart, and come in any order.
func TestNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfDistinct(rapid.OneOf(rapid.Uint32Range(0, 200), rapid.Uint32Range(65_500, 65_600), rapid.Uint32Range(0, 1<<22)), rapid.ID[uint32]).Draw(t, "numbers")
		var n numbers
		for _, no := range want {
			n.add(no)
		}
		data, err := n.portable()
		if err != nil {
			t.Fatal(err)
		}
		b := roaring.New()
		if err := b.UnmarshalBinary(data); err != nil {
			t.Fatal(err)
		}
		slices.Sort(want)
		if got := b.ToArray(); !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

// BenchmarkBitmaps prints what it takes to make the bitmaps of a snapshot of
// 1,000,000 users who came in random order, 15 % of them online at random, and
// how large they are. Saving them is BenchmarkSaveSnapshot of internal/ledger;
// the two together are a snapshot saved.
func BenchmarkBitmaps(b *testing.B) {
	const users = 1_000_000
	dice := rand.New(rand.NewPCG(1, 2))
	m := New(0)
	for _, n := range dice.Perm(users) {
		status := presence.Offline
		if dice.IntN(100) < 15 {
			status = presence.Online
		}
		m.Add(presence.State{User: presence.User{No: uint32(n) + 1, ID: fmt.Sprintf("user-%07d", n)}, Watched: true, Status: status}, time.Time{})
	}
	size := 0
	for b.Loop() {
		online, known, err := m.Bitmaps()
		if err != nil {
			b.Fatal(err)
		}
		size = len(online) + len(known)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms(with-saving,target<50)")
	b.ReportMetric(float64(size)/1000, "kB(target<200)")
	b.ReportMetric(0, "ns/op")
}
