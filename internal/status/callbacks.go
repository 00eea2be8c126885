package status

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// callbackFamilies are the metrics of callbacks of all apps.
type callbackFamilies struct {
	callbacks *prometheus.CounterVec
	gain      *prometheus.HistogramVec
}

func newCallbackFamilies(r prometheus.Registerer) callbackFamilies {
	return callbackFamilies{
		callbacks: counters(r, "poller_callbacks_total", "Callbacks of ZIM that came, by what became of each.", "outcome"),
		gain: histograms(r, "poller_callback_gain_seconds",
			"How much sooner a change was seen, since a callback had the user asked about: the time to when the next sweep would have, an estimate.",
			.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 21600, 86400),
	}
}

// callbacks are those of one app.
type callbacks struct {
	outcomes counts
	gain     prometheus.Observer
}

func newCallbacks(f callbackFamilies, app string) callbacks {
	return callbacks{outcomes: countsBy(f.callbacks, app, callbackOutcomes()), gain: f.gain.WithLabelValues(app)}
}

// callbackOutcomes are what becomes of a callback: what internal/callback refuses it
// for, what internal/poll makes of a hint, and what lies between.
func callbackOutcomes() []string {
	return []string{"hinted", "doubled", "unknown", "full", "lost", "handed_on", "unheard", "foreign", "late", "forged", "malformed"}
}

// Callback counts a callback, by what became of it; a word that is not known is counted
// as "other".
func (a *App) Callback(outcome string) { a.callbacks.outcomes.of(outcome).Inc() }

// Sooner notes how much sooner a change was seen, by an estimate, since a callback came.
func (a *App) Sooner(by time.Duration) { a.callbacks.gain.Observe(by.Seconds()) }

// StrangeCallback counts a callback that names no app of this process, by what became
// of it: its app is "other".
func (m *Metrics) StrangeCallback(outcome string) {
	countsBy(m.families.callbacks.callbacks, other, callbackOutcomes()).of(outcome).Inc()
}
