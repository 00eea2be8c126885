package zimsim

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The online counter agrees with counting every window afresh, and the log with what was logged.
func TestArrivalsAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := arrivals{limit: rapid.SampledFrom([]int{4, 64, 1 << 20}).Draw(t, "limit"), ring: make([]time.Duration, 4), gap: -1}
		gaps := rapid.SliceOfN(rapid.SampledFrom([]time.Duration{0, 1, time.Millisecond, 50 * time.Millisecond,
			time.Second - 1, time.Second, time.Second + 1}), 1, 300).Draw(t, "gaps")
		var log []time.Duration
		at, most, smallest := time.Duration(rapid.IntRange(0, 3).Draw(t, "start")), 0, time.Duration(-1)
		for i, gap := range gaps {
			if at += gap; i > 0 && (smallest < 0 || gap < smallest) {
				smallest = gap
			}
			log = append(log, at)
			in := 0
			for _, earlier := range log {
				if earlier > at-time.Second {
					in++
				}
			}
			if got := a.add(at); got != in {
				t.Fatalf("arrival %d at %v: got %d in the second, want %d", i, at, got, in)
			}
			most = max(most, in)
		}
		// Windows [x, x+1s) that begin with an arrival hold the most.
		for i, from := range log {
			n := 0
			for n < len(log)-i && log[i+n] < from+time.Second {
				n++
			}
			if n > most {
				t.Fatalf("window from arrival %d holds %d, more than any that ends with one: %d", i, n, most)
			}
		}
		if a.most != most || a.gap != smallest || a.first != log[0] {
			t.Fatalf("got most %d, gap %v, first %v; want %d, %v, %v", a.most, a.gap, a.first, most, smallest, log[0])
		}
		kept, first := a.since(0)
		if diff := cmp.Diff(kept, log[first:]); diff != "" || len(kept) < min(a.limit, len(log)) {
			t.Fatalf("log from %d, limit %d of %d: %s", first, a.limit, len(log), diff)
		}
	})
}

// What was overtaken on its way to the log is counted as if it had not been.
func TestArrivalsOutOfOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		step := rapid.SampledFrom([]time.Duration{0, 1, 49 * time.Millisecond, 50 * time.Millisecond, 400 * time.Millisecond, 1100 * time.Millisecond})
		var ordered []time.Duration
		at := time.Duration(0)
		for range rapid.IntRange(1, 120).Draw(t, "n") {
			at += step.Draw(t, "step")
			ordered = append(ordered, at)
		}
		mixed := slices.Clone(ordered)
		for i := range mixed { // each may be overtaken by a few
			j := min(len(mixed)-1, i+rapid.IntRange(0, 3).Draw(t, "by"))
			mixed[i], mixed[j] = mixed[j], mixed[i]
		}
		want, got := newArrivals(0), newArrivals(0)
		for i := range ordered {
			want.add(ordered[i])
			got.add(mixed[i])
		}
		log, _ := got.since(0)
		if !cmp.Equal(log, ordered) || got.most != want.most || got.first != want.first || got.gap != want.gap {
			t.Fatalf("in this order %v: log %v, most %d, first %v, gap %v; want %v, %d, %v, %v",
				mixed, log, got.most, got.first, got.gap, ordered, want.most, want.first, want.gap)
		}
	})
}

// The log stays bounded and keeps at least what was promised.
func TestArrivalsBound(t *testing.T) {
	a := newArrivals(1)
	for i := range 3 * minArrivalLog {
		a.add(time.Duration(i) * time.Millisecond)
	}
	if log, first := a.since(0); len(log) < minArrivalLog || len(log) > 2*minArrivalLog || int(first)+len(log) != 3*minArrivalLog {
		t.Errorf("kept %d from %d", len(log), first)
	}
	if a.most != 1000 {
		t.Errorf("most: got %d, want 1000", a.most)
	}
}

func TestNonces(t *testing.T) {
	var n nonces
	for i, test := range []struct {
		nonce uint64
		at    time.Duration
		seen  bool
	}{
		{1, 0, false}, {2, 0, false}, {1, 0, true}, {2, nonceMemory - 1, true}, {3, nonceMemory, false},
		{2, 2*nonceMemory - 2, true}, {4, 10 * nonceMemory, false}, {2, 10 * nonceMemory, false},
	} {
		if got := n.seen(test.nonce, test.at); got != test.seen {
			t.Errorf("%d: nonce %d at %v: got %v", i, test.nonce, test.at, got)
		}
	}
}

// Over the limit is exactly who is not among the first 20 arrivals of the second that ends with it, by the log.
func TestRateLimit(t *testing.T) {
	for _, test := range []struct {
		unsettled    Unsettled
		code, status int
	}{
		{Unsettled{}, 660300005, 200},
		{Unsettled{RateCode: 7}, 7, 200},
		{Unsettled{RateCode: 429, RetryAfter: 3}, 0, 429},
	} {
		s := start(t, func(c *Config) { c.Apps[0].Rate, c.Unsettled = 0, test.unsettled })
		client := browser(t)
		var refused []bool
		for i := range 60 {
			p := valid("a")
			if i%2 == 0 {
				p.set("Signature", "wrong") // counts all the same
			}
			r := ask(t, client, s.URL(), p.String())
			refused = append(refused, r.status == test.status && r.Code == test.code)
			if r.status == 429 && r.header.Get("Retry-After") != "3" {
				t.Errorf("Retry-After %q, want 3", r.header.Get("Retry-After"))
			}
		}
		log, _ := s.App(0).Arrivals(0)
		over := 0
		for i, at := range log {
			in := 0
			for _, earlier := range log[:i+1] {
				if earlier > at-time.Second {
					in++
				}
			}
			if refused[i] != (in > 20) {
				t.Errorf("request %d is number %d of its second: refused %v", i, in, refused[i])
			}
			if in > 20 {
				over++
			}
		}
		stats := s.App(0).Stats()
		if label := (&refusal{status: test.status, code: test.code}).label(); stats.Refused[label] != uint64(over) {
			t.Errorf("%d over the limit, books: %+v", over, stats)
		}
	}
}
