package page

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Step is the time between two points of a history, Span how far back it reaches.
const (
	Step = 15 * time.Second
	Span = 6 * time.Hour

	points = int64(Span / Step)
)

// Sample is what a step of one app came to. What is not known is [Gap].
type Sample struct {
	Online, Offline, Unknown float32
	PerMin                   float32 // online and offline events a minute
	Delay                    float32 // seconds, the slowest
	Budget                   float32 // share of the setting
	Coverage                 float32
	Lag                      float32 // events
}

// Nothing returns a sample of which nothing is known.
func Nothing() Sample {
	g := Gap()
	return Sample{g, g, g, g, g, g, g, g}
}

// Histories keeps the last hours of each app, 32 bytes a step: 46 kB of an app that
// was polled for six hours. Its methods may be called from any goroutine.
type Histories struct {
	mu   sync.Mutex // guards apps and what they point to
	apps map[uint32]*history
}

// history is the ring of one app. Point n is of the step that ends at n times [Step]
// since 1970.
type history struct {
	ring        []Sample // as long as it was needed so far, or whole
	base        int64    // the point at its beginning, and each one a span later
	first, next int64    // points that are kept
}

// NewHistories returns none.
func NewHistories() *Histories { return &Histories{apps: map[uint32]*history{}} }

// Add adds the sample of the step that has ended at, or right before, a time. Of two
// for one step the later counts; one that is older than the newest is dropped.
func (h *Histories) Add(app uint32, at time.Time, s Sample) {
	n := at.Unix() / int64(Step/time.Second)
	h.mu.Lock()
	defer h.mu.Unlock()
	it := h.of(app)
	if it.next > 0 && n < it.next-1 {
		return // the clock was set back
	}
	it.reach(n)
	*it.at(n) = s
}

// Seed fills in users and coverage of earlier steps, by the end of each, where they
// are not known: from what others have kept. None may be later than now.
func (h *Histories) Seed(app uint32, samples map[time.Time]Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old, fresh := h.of(app), &history{}
	byPoint := map[int64]Sample{}
	for at, s := range samples {
		byPoint[at.Unix()/int64(Step/time.Second)] = s
	}
	for n := old.first; n < old.next; n++ {
		s := *old.at(n)
		if seed, found := byPoint[n]; found && !known(s.Online) {
			s.Online, s.Offline, s.Unknown, s.Coverage = seed.Online, seed.Offline, seed.Unknown, seed.Coverage
		}
		byPoint[n] = s
	}
	for _, n := range slices.Sorted(maps.Keys(byPoint)) {
		fresh.reach(n)
		*fresh.at(n) = byPoint[n]
	}
	h.apps[app] = fresh
}

// Keep forgets all apps but some.
func (h *Histories) Keep(wanted func(app uint32) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.apps, func(app uint32, _ *history) bool { return !wanted(app) })
}

// History returns what is kept of an app behind a time, up to now; the zero time for
// all. Steps without a sample are gaps, also the newest.
func (h *Histories) History(app uint32, since, now time.Time) History {
	samples, first := h.copied(app, since, now)
	out := newHistory(len(samples))
	for i, s := range samples {
		out.Times[i] = (first + int64(i)) * int64(Step/time.Second)
		out.Online[i], out.Offline[i], out.Unknown[i] = s.Online, s.Offline, s.Unknown
		out.PerMin[i], out.Delay[i], out.Budget[i] = s.PerMin, s.Delay, s.Budget
		out.Coverage[i], out.Lag[i] = s.Coverage, s.Lag
	}
	return out
}

func newHistory(n int) History {
	c := func() Column { return make(Column, n) }
	return History{
		Step: Step.Seconds(), Times: make([]int64, n),
		Online: c(), Offline: c(), Unknown: c(), PerMin: c(), Delay: c(), Budget: c(), Coverage: c(), Lag: c(),
	}
}

// copied returns the samples of an app, and the point of the first.
func (h *Histories) copied(app uint32, since, now time.Time) (samples []Sample, first int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	it := h.apps[app]
	if it == nil || it.next == 0 {
		return nil, 0
	}
	second := int64(Step / time.Second)
	newest := max(it.next-1, now.Unix()/second-1) // the step that runs is not over
	first = max(it.first, newest-points+1)
	if !since.IsZero() {
		first = max(first, since.Unix()/second+1)
	}
	for n := first; n <= newest; n++ {
		if n < it.next {
			samples = append(samples, *it.at(n))
		} else {
			samples = append(samples, Nothing())
		}
	}
	return samples, first
}

// of wants the lock.
func (h *Histories) of(app uint32) *history {
	it := h.apps[app]
	if it == nil {
		it = &history{}
		h.apps[app] = it
	}
	return it
}

// at returns the place of point n, which is kept.
func (t *history) at(n int64) *Sample { return &t.ring[(n-t.base)%points] }

// reach makes n the newest point, with gaps behind the one that was. What is older
// than the span goes.
func (t *history) reach(n int64) {
	if t.next == 0 || n-t.next >= points {
		t.base, t.first, t.next = n, n, n // nothing of before is left
	}
	for ; t.next <= n; t.next++ {
		if int64(len(t.ring)) < points && t.next-t.base == int64(len(t.ring)) {
			t.ring = append(t.ring, Sample{})
		}
		*t.at(t.next) = Nothing()
	}
	t.first = max(t.first, t.next-points)
}
