package status

import (
	"regexp"
	"runtime"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics are the counters of the process, in a registry of their own. They may
// be used from any goroutine.
type Metrics struct {
	registry        *prometheus.Registry
	families        families
	replicas, share prometheus.Gauge
	retention       retention
	perApp          *roll
	reload          reload

	mu   sync.Mutex // guards apps
	apps map[uint32]*App
}

// NewMetrics returns metrics that know the process, the Go runtime and the
// version of the program, and no app yet.
func NewMetrics(version string) *Metrics {
	registry := prometheus.NewRegistry()
	// What a user costs shows in the live heap, and not in the one with its garbage.
	heapLive := collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/gc/heap/live:bytes$`)}
	registry.MustRegister(
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(heapLive)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "poller_build_info", Help: "Always 1; the labels say which program this is.",
	}, []string{"version", "goversion"})
	registry.MustRegister(build)
	build.WithLabelValues(version, runtime.Version()).Set(1)
	perApp := &roll{Registerer: registry}
	m := &Metrics{
		registry: registry, families: newFamilies(perApp), perApp: perApp, apps: map[uint32]*App{},
		replicas: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "poller_replicas_live", Help: "Replicas that live, this one included; 0 while this process cannot see it.",
		}),
		share: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "poller_apps_assigned", Help: "Apps that are this process's share of all; 0 while it cannot see it.",
		}),
	}
	registry.MustRegister(m.replicas, m.share)
	m.retention = newRetention(registry)
	m.reload = newReload(registry)
	return m
}

// SetReplicas says how many replicas live, and how many apps are the share of
// this one; 0 and 0 when that is not known.
func (m *Metrics) SetReplicas(live, assigned int) {
	m.replicas.Set(float64(live))
	m.share.Set(float64(assigned))
}

// App returns the metrics of one app, always the same for the same id. The
// first call makes all of its series.
func (m *Metrics) App(id uint32) *App {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, known := m.apps[id]
	if !known {
		a = newApp(m.families, strconv.FormatUint(uint64(id), 10))
		m.registry.MustRegister(a.lag.seconds)
		m.apps[id] = a
	}
	return a
}

// Forget takes all series of an app out, which is not polled here any more. Its App is
// not to be used behind it; the next call of [Metrics.App] makes another.
func (m *Metrics) Forget(id uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, known := m.apps[id]
	if !known {
		return
	}
	delete(m.apps, id)
	m.registry.Unregister(a.lag.seconds)
	for _, f := range m.perApp.families {
		f.DeletePartialMatch(prometheus.Labels{"app": strconv.FormatUint(uint64(id), 10)})
	}
}
