package status

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// LeaseState is how the lease of an app stands, as this process sees it.
type LeaseState string

const (
	// LeaseHeld: this process polls.
	LeaseHeld LeaseState = "held"
	// LeaseStandby: another process does, and this one would take over.
	LeaseStandby LeaseState = "standby"
	// LeaseFree: nobody does.
	LeaseFree LeaseState = "free"
	// LeaseUnknown: the database does not say.
	LeaseUnknown LeaseState = "unknown"
)

func leaseStates() []LeaseState {
	return []LeaseState{LeaseHeld, LeaseStandby, LeaseFree, LeaseUnknown}
}

// leased is the lease of one app.
type leased struct {
	held, epoch prometheus.Gauge
	states      map[LeaseState]prometheus.Gauge

	mu    sync.Mutex // guards all below, and the order in which the gauges are set
	holds bool
	last  int64
}

func newLeased(f families, app string) *leased {
	l := &leased{held: f.held.WithLabelValues(app), epoch: f.epoch.WithLabelValues(app), states: map[LeaseState]prometheus.Gauge{}}
	for _, s := range leaseStates() {
		l.states[s] = f.leaseState.WithLabelValues(app, string(s))
	}
	l.show(LeaseUnknown)
	return l
}

// show wants the lock.
func (l *leased) show(state LeaseState) {
	for s, gauge := range l.states {
		gauge.Set(flag(s == state))
	}
	l.held.Set(flag(state == LeaseHeld))
	l.epoch.Set(float64(l.last))
}

// SetLease says whether this process holds the app's lease, and under which epoch; 0:
// that of the newest lease is still the one that was said last.
func (a *App) SetLease(held bool, epoch int64) {
	a.lease.mu.Lock()
	defer a.lease.mu.Unlock()
	a.lease.last = max(a.lease.last, epoch)
	switch was := a.lease.holds; {
	case held:
		a.lease.show(LeaseHeld)
	case was:
		a.lease.show(LeaseUnknown) // until somebody looks
	}
	a.lease.holds = held
}

// SeenLease says how the lease of an app that this process does not hold looked, and
// its epoch, 0 where that is not known. While the process holds it, it knows better.
func (a *App) SeenLease(state LeaseState, epoch int64) {
	a.lease.mu.Lock()
	defer a.lease.mu.Unlock()
	if a.lease.holds {
		return
	}
	a.lease.last = max(a.lease.last, epoch)
	a.lease.show(state)
}
