package main

import (
	"sync"
	"time"
)

// lookBack is the time of which the page says how much of the budget was used, lookAgain how often it is looked at.
const (
	lookBack  = time.Minute
	lookAgain = 5 * time.Second
)

// spending is how many slots of a budget had been spent at each look of the last minute.
type spending struct {
	mu    sync.Mutex // guards looks
	looks []spentAt  // in order, the first about a minute old
}

type spentAt struct {
	at    time.Time
	slots uint64
}

// look notes how many slots have been spent so far.
func (s *spending) look(now time.Time, slots uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks = append(s.looks, spentAt{now, slots})
	for len(s.looks) > 1 && now.Sub(s.looks[1].at) >= lookBack {
		s.looks = s.looks[1:]
	}
}

// used is how many slots a second have been spent in the last minute, or since the first look.
func (s *spending) used(now time.Time, slots uint64) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.looks) == 0 {
		return 0
	}
	first := s.looks[0]
	return float64(slots-first.slots) / max(time.Second, now.Sub(first.at)).Seconds()
}
