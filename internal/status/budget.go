package status

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// BudgetSpent counts n more slots of the budget.
func (a *App) BudgetSpent(n uint64) { a.slots.Add(float64(n)) }

// SetRate says how many requests a second the budget allows at the moment, and how
// many it would while ZIM does not complain.
func (a *App) SetRate(rate, limit float64) {
	a.rate.Set(rate)
	a.limit.Set(limit)
}

// Retried counts a batch that is to be asked once more.
func (a *App) Retried() { a.retries.Inc() }

// AwaitSlot is called when a request begins to wait for a slot of the budget, and what
// it returns when it waits no more.
func (a *App) AwaitSlot() (over func()) {
	a.slotWait.change(1)
	return func() { a.slotWait.change(-1) }
}

// slotWait counts the time in which at least one request waits.
type slotWait struct {
	seconds prometheus.Counter

	mu      sync.Mutex // guards both below
	waiting int
	since   time.Time // what was counted last; of no meaning while nobody waits
}

func (w *slotWait) change(by int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if w.waiting > 0 {
		w.seconds.Add(max(0, now.Sub(w.since).Seconds()))
	}
	w.waiting += by
	w.since = now
}
