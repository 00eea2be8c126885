package status

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lag is how far the stream is behind the ledger. Its age is reckoned when it
// is read, so that it grows also while nobody tells anything any more.
type lag struct {
	events  prometheus.Gauge
	seconds prometheus.GaugeFunc

	mu     sync.Mutex // guards both below
	n      int64
	oldest time.Time // when the oldest untold event was observed; zero for none
}

func newLag(events prometheus.Gauge, app string) *lag {
	l := &lag{events: events}
	l.seconds = prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "poller_lag_seconds",
		Help:        "Time since the oldest event that the stream does not have yet was observed, 0 for none.",
		ConstLabels: prometheus.Labels{"app": app},
	}, l.age)
	return l
}

func (l *lag) set(events int64, oldest time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(events, oldest)
}

// told is set by somebody who knows the newest event told and not the oldest
// untold: that is hardly older, and not older than was known before.
func (l *lag) told(events int64, newest time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.oldest
	if oldest.Before(newest) {
		oldest = newest
	}
	l.put(events, oldest)
}

// put wants the lock.
func (l *lag) put(events int64, oldest time.Time) {
	if events <= 0 {
		events, oldest = 0, time.Time{}
	}
	l.n, l.oldest = events, oldest
	l.events.Set(float64(events))
}

func (l *lag) age() float64 {
	_, age := l.read()
	return age.Seconds()
}

func (l *lag) read() (events int64, age time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.oldest.IsZero() {
		return l.n, 0
	}
	return l.n, max(0, time.Since(l.oldest))
}

// Lag returns what SetLag and Told have said: how many events the stream lacks, and
// how long ago the oldest of them was observed.
func (a *App) Lag() (events int64, oldest time.Duration) { return a.lag.read() }
