package plan

import (
	"container/heap"
	"math/rand/v2"
	"sort"
)

// A simulation of many sweeps, request by request, that shares no formula with the
// package: a sliding window, a schedule, users who change at random, and somebody who
// asks them again. It has no goroutines and no clock.
type simulation struct {
	Want
	dice *rand.Rand
	now  float64 // seconds, as are all times here
	heap events

	sent    []float64 // slots
	pace    float64
	busy    bool        // somebody waits for the next slot
	waiting [2][]*asked // for a slot: those of the sweep, and who asks again
	passed  int         // slots of the sweep since the oldest of those who ask again waits

	dues      []float64
	due       int // of the sweep that runs
	inFlight  int
	began     float64
	lastBegan float64

	users  []*simUser
	held   [2][]heldSince // to offline and to online, in the order in which they are due
	flight bool
	calls  int // requests of the flight

	measured
}

// measured is what the simulation is for.
type measured struct {
	cycles, sweeps, seen, offline, online []float64
	waits                                 [2][]float64 // of what was held, to offline and to online, beyond the hold
	requests, askedAgain                  int
	slots, hours                          float64
}

type simUser struct {
	toggles  []float64
	first    bool // the status before all
	told     bool
	known    bool
	heldAt   float64 // 0 for not
	seen     bool    // of the present difference
	lastDiff float64
}

type heldSince struct {
	user int
	at   float64
}

type asked struct {
	users []int
	again bool
	at    float64
}

func (s *simulation) at(at float64, do func()) { heap.Push(&s.heap, event{max(at, s.now), do}) }

// simulate runs for so many seconds.
func simulate(w Want, seed uint64, until float64) measured {
	s := &simulation{Want: w, dice: rand.New(rand.NewPCG(seed, 1)), lastBegan: -1}
	perUser := w.ChangesPerHour / 3600 / float64(max(1, w.Users))
	for range w.Users {
		u := &simUser{first: s.dice.IntN(2) == 0}
		for t := 0.0; perUser > 0; {
			t += s.dice.ExpFloat64() / perUser
			if t > until {
				break
			}
			u.toggles = append(u.toggles, t)
		}
		s.users = append(s.users, u)
	}
	for t, i := 0.0, 0; t < until+1e6 && i < 1_000_000; i++ {
		s.dues = append(s.dues, t)
		t += w.Gaps[i%len(w.Gaps)].Seconds()
	}
	s.at(0, s.sweep)
	for s.heap.Len() > 0 && s.now < until {
		e := heap.Pop(&s.heap).(event)
		s.now = e.at
		e.do()
	}
	limit, window := s.limit()
	s.measured.slots = s.now / window * float64(limit)
	s.hours = s.now / 3600
	return s.measured
}

func (s *simulation) limit() (int, float64) {
	if s.Rate < 1 {
		return 1, 1/s.Rate + 0.015
	}
	return int(s.Rate), 1.015
}

func (s *simulation) sweep() {
	if s.lastBegan >= 0 {
		s.cycles = append(s.cycles, s.now-s.lastBegan)
	}
	s.began, s.lastBegan = s.now, s.now
	size := s.Batch
	if s.IDBytes > 0 {
		size = 0
		for n := s.IDBytes; size < s.Batch && n <= 7168; n += s.IDBytes {
			size++
		}
	}
	for i := 0; i < len(s.users); i += size {
		var batch []int
		for u := i; u < min(i+size, len(s.users)); u++ {
			batch = append(batch, u)
		}
		s.waiting[0] = append(s.waiting[0], &asked{users: batch})
	}
	s.inFlight = len(s.waiting[0])
	s.next()
}

// next hands out the next slot, if anybody wants one.
func (s *simulation) next() {
	if s.busy || len(s.waiting[0])+len(s.waiting[1]) == 0 {
		return
	}
	s.busy = true
	limit, window := s.limit()
	gap := 1 / float64(limit)
	if s.Rate < 1 {
		gap = 1 / s.Rate
	}
	at := max(s.now, s.pace)
	if n := len(s.sent); n > 0 {
		at = max(at, s.sent[n-1]+0.8*gap)
		if n >= limit {
			at = max(at, s.sent[n-limit]+window)
		}
	}
	s.at(at, func() {
		s.pace = max(s.pace, s.now-4*gap) + gap
		s.sent = append(s.sent, s.now)
		s.busy = false
		s.send()
		s.next()
	})
}

// send sends: who asks again goes first, but for two of the sweep.
func (s *simulation) send() {
	lane := 0
	if len(s.waiting[1]) > 0 && (s.passed >= 2 || len(s.waiting[0]) == 0) {
		lane = 1
	}
	a := s.waiting[lane][0]
	s.waiting[lane] = s.waiting[lane][1:]
	if lane == 0 && len(s.waiting[1]) > 0 {
		s.passed++
	}
	if lane == 1 {
		s.passed = 0
		s.askedAgain++
	}
	s.requests++
	a.at = s.now
	latency := s.Latency.Seconds()
	looks := make([]bool, len(a.users))
	changed := make([]float64, len(a.users))
	s.at(s.now+latency/2, func() {
		for i, u := range a.users {
			looks[i], changed[i] = s.users[u].status(s.now)
		}
	})
	s.at(s.now+latency, func() { s.answer(a, looks, changed) })
}

func (u *simUser) status(at float64) (online bool, since float64) {
	n := sort.SearchFloat64s(u.toggles, at)
	if n > 0 {
		since = u.toggles[n-1]
	}
	return u.first == (n%2 == 0), since
}

func (s *simulation) answer(a *asked, looks []bool, changed []float64) {
	for i, n := range a.users {
		s.observe(n, a, looks[i], changed[i])
	}
	if a.again {
		s.calls--
		s.flight = s.calls > 0
		s.ask()
		return
	}
	if s.inFlight--; s.inFlight == 0 {
		s.over()
	}
}

func (s *simulation) observe(n int, a *asked, online bool, since float64) {
	u := s.users[n]
	switch {
	case !u.known:
		u.known, u.told = true, online
		return
	case online == u.told:
		u.heldAt, u.seen = 0, false
		return
	}
	if !u.seen || u.lastDiff != since {
		u.seen, u.lastDiff = true, since
		s.seen = append(s.seen, s.now-since)
	}
	wait := s.HoldOffline.Seconds()
	if online {
		wait = s.HoldOnline.Seconds()
	}
	if wait > 0 && u.heldAt == 0 {
		u.heldAt = s.now
		way := 0
		if online {
			way = 1
		}
		s.held[way] = append(s.held[way], heldSince{n, s.now})
		s.at(s.now+wait+0.25, s.ask)
		return
	}
	if wait > 0 && a.at < u.heldAt+wait {
		return
	}
	if wait > 0 {
		way := 0
		if online {
			way = 1
		}
		s.waits[way] = append(s.waits[way], s.now-u.heldAt-wait)
	}
	if online {
		s.online = append(s.online, s.now-since)
	} else {
		s.offline = append(s.offline, s.now-since)
	}
	u.told, u.heldAt, u.seen = online, 0, false
}

// ask asks again about who is due, if somebody has been for a quarter of a second.
func (s *simulation) ask() {
	if s.flight {
		return
	}
	waits := []float64{s.HoldOffline.Seconds(), s.HoldOnline.Seconds()}
	long := false
	for way := range s.held {
		for len(s.held[way]) > 0 && s.users[s.held[way][0].user].heldAt != s.held[way][0].at {
			s.held[way] = s.held[way][1:] // is back, or was told
		}
		long = long || len(s.held[way]) > 0 && s.held[way][0].at+waits[way]+0.25 <= s.now+1e-9
	}
	if !long {
		return
	}
	var due []int
	for way := range s.held {
		for len(s.held[way]) > 0 && s.held[way][0].at+waits[way] <= s.now && len(due) < 100 {
			if h := s.held[way][0]; s.users[h.user].heldAt == h.at {
				due = append(due, h.user)
			}
			s.held[way] = s.held[way][1:]
		}
	}
	s.flight, s.passed = true, 0
	for len(due) > 0 {
		n := min(s.Batch, len(due))
		s.waiting[1] = append(s.waiting[1], &asked{users: due[:n], again: true})
		due = due[n:]
		s.calls++
	}
	s.next()
}

// over ends a sweep, and starts the next when it is due.
func (s *simulation) over() {
	s.sweeps = append(s.sweeps, s.now-s.began)
	s.due++
	for s.due+1 < len(s.dues) && s.dues[s.due+1] <= s.now {
		s.due++
	}
	s.at(s.dues[s.due], s.sweep)
}
