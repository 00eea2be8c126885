package evidence

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/zim-presence/poller/presence"
)

var begin = time.Date(2026, 11, 22, 18, 43, 36, 120114000, time.UTC)

// request asks about the users with these numbers; all are answered, and every second one is online.
func request(i int, numbers ...uint32) Request {
	asked := begin.Add(time.Duration(i) * time.Second)
	r := Request{
		AskedAt: asked, At: asked.Add(20 * time.Millisecond), Lane: "sweep", Result: "0", Status: 200,
		RequestID: fmt.Sprint(343649807833778782 + i),
	}
	for _, no := range numbers {
		u := presence.User{No: no}
		r.Batch = append(r.Batch, u)
		o := presence.Observation{User: u, Status: presence.Online}
		if no%2 == 0 {
			o.Status, o.Detail = presence.Offline, presence.Timeout
		}
		r.Observations = append(r.Observations, o)
	}
	return r
}

func numbers(first, last uint32) (all []uint32) {
	for no := first; no <= last; no++ {
		all = append(all, no)
	}
	return all
}

// What was said of each is kept, in whichever order it was answered; and what came of nothing is nothing.
func TestWhatWasSaid(t *testing.T) {
	u := func(no uint32) presence.User { return presence.User{No: no, ID: fmt.Sprint(no)} }
	r := Request{
		AskedAt: begin, At: begin.Add(time.Second), Lane: "confirm", Result: "0", Status: 200, RequestID: "77",
		Batch: []presence.User{u(1), u(2), u(3), u(4), u(5), u(6), u(7), u(8)},
		Observations: []presence.Observation{
			{User: u(1), Status: presence.Online},
			{User: u(3), Status: presence.Offline, Detail: presence.Timeout},
			{User: u(4), Status: presence.Offline, Detail: presence.NoSession},
		},
		Missed: []presence.Miss{
			{User: u(2), Reason: presence.MissAbsent}, {User: u(5), Reason: presence.MissConflict},
			{User: u(6), Reason: presence.MissUnreadable}, {User: u(7), Reason: presence.MissRefused},
		},
	}
	want := map[uint32]Said{1: Online, 2: Absent, 3: OfflineTimeout, 4: OfflineNoSession, 5: Conflict, 6: Unreadable, 7: Refused, 8: Nothing}
	turned := r
	turned.Observations = []presence.Observation{r.Observations[2], r.Observations[1], r.Observations[0]}
	turned.Missed = []presence.Miss{r.Missed[3], r.Missed[0], r.Missed[2], r.Missed[1]}
	for name, r := range map[string]Request{"in order": r, "turned": turned} {
		b := NewBook()
		b.Attempted(r)
		for no, said := range want {
			got := b.Of(no, 10).Answers
			want := []Answer{{
				AskedAt: begin, At: begin.Add(time.Second), Lane: "confirm", Result: "0", Status: 200, RequestID: "77", Asked: 8, Said: said,
			}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: user %d (-want +got):\n%s", name, no, diff)
			}
		}
		if got := b.Of(9, 10).Answers; got != nil {
			t.Errorf("%s: of somebody who was not asked about: %v", name, got)
		}
	}
}

// The words of what was said are those of presence.
func TestSaidIsTold(t *testing.T) {
	for _, o := range []presence.Observation{
		{Status: presence.Online}, {Status: presence.Offline, Detail: presence.Timeout}, {Status: presence.Offline, Detail: presence.NoSession},
	} {
		if status, detail, ok := saidStatus(o).Status(); status != o.Status || detail != o.Detail || !ok || saidStatus(o).Missed() != "" {
			t.Errorf("%v %v is kept as %v %v %t", o.Status, o.Detail, status, detail, ok)
		}
	}
	for _, why := range []presence.MissReason{presence.MissAbsent, presence.MissConflict, presence.MissUnreadable, presence.MissRefused} {
		if got := saidMiss(why).Missed(); got != why {
			t.Errorf("%s is kept as %q", why, got)
		}
		if _, _, ok := saidMiss(why).Status(); ok {
			t.Errorf("%s is kept as a status", why)
		}
	}
	if _, _, ok := Nothing.Status(); ok || Nothing.Missed() != "" {
		t.Error("nothing says something")
	}
}

// The newest answers are kept, in order; the book is as large as the watchlist needs, and never larger than 8 MB and what is suppressed.
func TestBounded(t *testing.T) {
	for _, c := range []struct{ users, sweeps, least, most int }{
		{users: 100, sweeps: 2000, least: 50, most: 100},
		{users: 20_000, sweeps: 80, least: 30, most: 34},
		{users: 1_000_000, sweeps: 2, least: 1, most: 2},
	} {
		t.Run(fmt.Sprint(c.users), func(t *testing.T) {
			before := heap()
			b := NewBook()
			b.Watched(c.users)
			i := 0
			for range c.sweeps {
				for first := 1; first <= c.users; first += 100 {
					b.Attempted(request(i, numbers(uint32(first), uint32(first+99))...))
					i++
				}
			}
			took := heap() - before
			if most := min(mostBytes, max(leastBytes, answersKept*(c.users*perUser+c.users/100*overhead))); b.bytes > most || took > most*5/4+100_000 {
				t.Errorf("%d users: counted as %d bytes, took %d, want %d at the most", c.users, b.bytes, took, most)
			}
			got := b.Of(1, 1000).Answers
			if len(got) < c.least || len(got) > c.most {
				t.Errorf("%d users: %d answers are kept of the first, want %d to %d", c.users, len(got), c.least, c.most)
			}
			last := b.Of(uint32(c.users), 1).Answers
			if len(last) != 1 || !last[0].AskedAt.Equal(begin.Add(time.Duration(i-1)*time.Second)) {
				t.Errorf("%d users: the last answer about the last is %v", c.users, last)
			}
			b.Watched(1)
			if b.bytes > leastBytes {
				t.Errorf("after the watchlist was emptied %d bytes are kept, want %d", b.bytes, leastBytes)
			}
			runtime.KeepAlive(b)
		})
	}
}

func heap() int {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// Suppressed changes are kept by user, incidents by app, and the oldest go.
func TestSuppressed(t *testing.T) {
	b := NewBook()
	of := func(i int) Suppressed {
		at := begin.Add(time.Duration(i) * time.Second)
		return Suppressed{At: at, Why: "hold", To: presence.Offline, Detail: presence.NoSession, After: at.Add(-2 * time.Second), SeenAt: at.Add(-time.Second)}
	}
	for i := range leastDropped + 10 {
		b.Suppressed(uint32(i%5), of(i))
	}
	got := b.Of(3, 10).Suppressed
	if len(got) < leastDropped/5 || !cmp.Equal(got[0], of(13)) || len(b.Of(9, 10).Suppressed) != 0 {
		t.Errorf("%d are kept, the first %+v, want %+v", len(got), got[0], of(13))
	}
	b.Watched(2 * leastDropped)
	for i := range leastDropped {
		b.Suppressed(7, of(i))
	}
	if got := len(b.Of(7, 10).Suppressed) + len(b.Of(3, 10).Suppressed); got <= leastDropped {
		t.Errorf("%d are kept, with more users watched", got)
	}
	for i := range mostIncidents + 3 {
		began := begin.Add(time.Duration(i) * time.Minute)
		b.Incident(Incident{Began: began, Flips: i})
		b.Incident(Incident{Began: began, Ended: began.Add(time.Second), Released: true, Flips: i})
	}
	running := begin.Add(time.Hour * 9)
	b.Incident(Incident{Number: 7, Began: running})
	if all := b.Of(3, 10).Incidents; all[len(all)-1] != (Incident{Number: 7, Began: running}) {
		t.Errorf("the newest incident is %+v, want the one under way", all[len(all)-1])
	}
	b.TermOver()
	incidents := b.Of(3, 10).Incidents
	if len(incidents) != mostIncidents-1 || incidents[0].Flips != 4 || !incidents[0].Released {
		t.Errorf("%d incidents are kept, the first %+v", len(incidents), incidents[0])
	}
}

// A queue gives back what it was given, in order.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue[int]
		var want []int
		for i, add := range rapid.SliceOfN(rapid.Bool(), 0, 300).Draw(t, "steps") {
			if add || len(want) == 0 {
				q.add(i)
				want = append(want, i)
			} else {
				if got := q.drop(); got != want[0] {
					t.Fatalf("dropped %d, want %d", got, want[0])
				}
				want = want[1:]
			}
			got := make([]int, 0, q.n)
			for i := range q.n {
				got = append(got, *q.at(i))
			}
			if !cmp.Equal(got, append([]int{}, want...)) {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
	})
}

// Many may write and read at a time.
func TestManyAtOnce(t *testing.T) {
	b := NewBook()
	var writing sync.WaitGroup
	for w := range 8 {
		writing.Go(func() {
			for i := range 200 {
				b.Attempted(request(i, numbers(1, 100)...))
				b.Suppressed(uint32(w), Suppressed{At: begin})
				b.Incident(Incident{Began: begin.Add(time.Duration(w))})
				b.Watched(100 * w)
				b.Of(7, 5)
			}
		})
	}
	writing.Wait()
	if got := len(b.Of(7, 5).Answers); got != 5 {
		t.Errorf("%d answers, want 5", got)
	}
}

// BenchmarkAttempted is what a request costs; ns/user is a hundredth of it.
func BenchmarkAttempted(b *testing.B) {
	book := NewBook()
	book.Watched(1_000_000)
	r := request(1, numbers(1, 100)...)
	b.ReportAllocs()
	for b.Loop() {
		book.Attempted(r)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/user")
}

// BenchmarkOf looks for somebody who is not there, in a full book.
func BenchmarkOf(b *testing.B) {
	book := NewBook()
	book.Watched(1_000_000)
	for i := range 20_000 {
		book.Attempted(request(i, numbers(1, 100)...))
	}
	for b.Loop() {
		book.Of(101, 10)
	}
}
