package status

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What comes of reading the configuration again.
const (
	applied = "applied"
	refused = "refused"
)

// reload is how reading the configuration again went.
type reload struct {
	total      *prometheus.CounterVec
	good, when prometheus.Gauge
	pending    prometheus.Gauge
}

func newReload(r prometheus.Registerer) reload {
	l := reload{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "poller_config_reloads_total", Help: "Times that the configuration was read again, by what came of it.",
		}, []string{"outcome"}),
		good: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "poller_config_last_reload_successful", Help: "1 where the configuration in force is the one that was read last, 0 where that was refused.",
		}),
		when: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "poller_config_last_reload_success_timestamp_seconds", Help: "Unix time at which the configuration in force was read.",
		}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "poller_config_restart_keys", Help: "Keys that the configuration says differently since the start, and that only a restart applies.",
		}),
	}
	r.MustRegister(l.total, l.good, l.when, l.pending)
	for _, outcome := range []string{applied, refused} {
		l.total.WithLabelValues(outcome)
	}
	l.good.Set(1)
	l.when.Set(float64(time.Now().Unix()))
	return l
}

// Reloaded says that the configuration was read again and is in force, but for so many
// keys that wait for a restart.
func (m *Metrics) Reloaded(waiting int) {
	m.reload.total.WithLabelValues(applied).Inc()
	m.reload.good.Set(1)
	m.reload.when.Set(float64(time.Now().Unix()))
	m.reload.pending.Set(float64(waiting))
}

// ReloadRefused says that it was read again, and has faults: the one before goes on.
func (m *Metrics) ReloadRefused() {
	m.reload.total.WithLabelValues(refused).Inc()
	m.reload.good.Set(0)
}
