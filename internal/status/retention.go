package status

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// retention is what is kept of the past, of all apps.
type retention struct {
	pruned       prometheus.Counter
	held, oldest prometheus.Gauge
}

func newRetention(r prometheus.Registerer) retention {
	t := retention{
		pruned: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "poller_pruned_bytes_total", Help: "Bytes of days of the ledger and of snapshots that this process has dropped for their age.",
		}),
		held: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "poller_ledger_held_partitions", Help: "Days of the ledger that are past their age and kept because something needs them.",
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "poller_ledger_oldest_timestamp_seconds", Help: "Unix time at which the oldest day of the ledger begins; 0 while this process has not looked.",
		}),
	}
	r.MustRegister(t.pruned, t.held, t.oldest)
	return t
}

// Pruned counts bytes that were dropped for their age.
func (m *Metrics) Pruned(bytes int64) { m.retention.pruned.Add(float64(bytes)) }

// SetRetention says how many days of the ledger are kept past their age, and when
// the oldest that is kept begins; zero for none.
func (m *Metrics) SetRetention(held int, oldest time.Time) {
	m.retention.held.Set(float64(held))
	if oldest.IsZero() {
		oldest = time.Unix(0, 0)
	}
	m.retention.oldest.Set(float64(oldest.Unix()))
}
