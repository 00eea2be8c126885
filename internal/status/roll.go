package status

import "github.com/prometheus/client_golang/prometheus"

// roll registers metrics and keeps the families among them, so that all series of an
// app can be taken out again.
type roll struct {
	prometheus.Registerer
	families []family
}

// family is metrics of one name.
type family interface {
	DeletePartialMatch(labels prometheus.Labels) int
}

// MustRegister is that of [prometheus.Registerer].
func (r *roll) MustRegister(all ...prometheus.Collector) {
	r.Registerer.MustRegister(all...)
	for _, c := range all {
		if f, ok := c.(family); ok {
			r.families = append(r.families, f)
		}
	}
}
