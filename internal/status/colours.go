package status

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// colours shows checks as metrics. They are judged when somebody reads them.
type colours struct {
	checks    *Checks
	ready, ok *prometheus.Desc
}

// Show has the metrics tell the colours of the checks. To be called once.
func (m *Metrics) Show(checks *Checks) {
	m.registry.MustRegister(&colours{
		checks: checks,
		ready:  prometheus.NewDesc("poller_ready", "1 while /readyz answers 200: there are checks, and all are green.", nil, nil),
		ok: prometheus.NewDesc("poller_check_ok", "1 while a check of /readyz is green, 0 while it is red. A check that there is not has no series.",
			[]string{"check", "app"}, nil),
	})
}

// Describe is that of [prometheus.Collector].
func (c *colours) Describe(descs chan<- *prometheus.Desc) {
	descs <- c.ready
	descs <- c.ok
}

// Collect is that of [prometheus.Collector].
func (c *colours) Collect(metrics chan<- prometheus.Metric) {
	ready, checks := c.checks.Judge()
	metrics <- prometheus.MustNewConstMetric(c.ready, prometheus.GaugeValue, flag(ready))
	for _, k := range checks {
		subject, app, _ := strings.Cut(k.Name, "/")
		metrics <- prometheus.MustNewConstMetric(c.ok, prometheus.GaugeValue, flag(k.Err == nil), subject, app)
	}
}
