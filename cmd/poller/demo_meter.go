package main

import (
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
)

// minute is how many seconds the meter looks back.
const minute = 60

// meter reads an app's budget from the books of the simulated ZIM: what counts
// is what arrives there, not what was sent. One goroutine reads it.
type meter struct {
	app    *zimsim.App
	begun  time.Time       // before the simulator's own beginning: a second here is never longer than one there
	next   uint64          // number of the first arrival not read yet
	recent []time.Duration // arrivals of the last minute
}

func (m *meter) read(now time.Time) budgetNews {
	fresh, first := m.app.Arrivals(m.next)
	m.next = first + uint64(len(fresh))
	m.recent = append(m.recent, fresh...)
	at := now.Sub(m.begun)
	b := budgetNews{Requests: m.next, Most: m.app.Stats().MostPerSecond, Minute: make([]int, minute)}
	oldest := int(at/time.Second) - minute + 1
	kept := m.recent[:0]
	for _, arrival := range m.recent {
		second := int(arrival/time.Second) - oldest
		if second < 0 {
			continue
		}
		kept = append(kept, arrival)
		b.Minute[min(second, minute-1)]++
		if arrival > at-time.Second {
			b.LastSecond++
		}
	}
	m.recent = kept
	return b
}
