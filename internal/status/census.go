package status

import (
	"math"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Census is how the users of an app stand.
type Census struct {
	// Online, Offline and Unknown are how many are told to be so.
	Online, Offline, Unknown int
	// Ages are how many have a newest answer that is younger than each of [AgeBounds],
	// and not than the bound before; the last one more is of those that are older. Never
	// is of how many no answer is known.
	Ages  [12]int
	Never int
	// Median, P99 and Oldest are ages of answers, and say nothing where there is none.
	Median, P99, Oldest time.Duration
}

// AgeBounds are the ages by which answers are counted, rising.
func AgeBounds() [11]time.Duration {
	return [11]time.Duration{
		5 * time.Second, 10 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
		time.Hour, 6 * time.Hour, 24 * time.Hour,
	}
}

// The ranks of the ages.
const (
	median = "median"
	p99    = "p99"
	oldest = "oldest"
)

// censusFamilies are the metrics of the census of all apps.
type censusFamilies struct{ users, under, never, age *prometheus.GaugeVec }

func newCensusFamilies(r prometheus.Registerer) censusFamilies {
	return censusFamilies{
		users: gauges(r, "poller_users", "Watched users, by what is told of them; 0 where this process does not hold the lease.", "status"),
		under: gauges(r, "poller_answer_age_users",
			"Users whose newest answer is younger than so many seconds; +Inf is everybody of whom an answer is known.", "under"),
		never: gauges(r, "poller_never_answered_users", "Watched users of whom no answer is known."),
		age:   gauges(r, "poller_answer_age_seconds", "Age of the newest answers about the users; NaN while none is known.", "rank"),
	}
}

// census is that of one app.
type census struct {
	online, offline, unknown, never prometheus.Gauge
	under                           [12]prometheus.Gauge
	median, p99, oldest             prometheus.Gauge
}

func newCensus(f censusFamilies, app string) census {
	c := census{
		online: f.users.WithLabelValues(app, "online"), offline: f.users.WithLabelValues(app, "offline"),
		unknown: f.users.WithLabelValues(app, "unknown"), never: f.never.WithLabelValues(app),
		median: f.age.WithLabelValues(app, median), p99: f.age.WithLabelValues(app, p99), oldest: f.age.WithLabelValues(app, oldest),
	}
	for i, word := range unders() {
		c.under[i] = f.under.WithLabelValues(app, word)
	}
	c.set(Census{})
	return c
}

// unders are the words of the bounds.
func unders() []string {
	var words []string
	for _, bound := range AgeBounds() {
		words = append(words, strconv.Itoa(int(bound.Seconds())))
	}
	return append(words, "+Inf")
}

func (c *census) set(to Census) {
	c.online.Set(float64(to.Online))
	c.offline.Set(float64(to.Offline))
	c.unknown.Set(float64(to.Unknown))
	c.never.Set(float64(to.Never))
	answered := 0
	for i, users := range to.Ages {
		answered += users
		c.under[i].Set(float64(answered))
	}
	c.median.Set(age(to.Median, answered))
	c.p99.Set(age(to.P99, answered))
	c.oldest.Set(age(to.Oldest, answered))
}

func age(of time.Duration, answered int) float64 {
	if answered == 0 {
		return math.NaN()
	}
	return of.Seconds()
}

// SetCensus says how everybody stands.
func (a *App) SetCensus(c Census) { a.census.set(c) }

// TermOver says that this process does not know any more how everybody stands, nor how
// many were answered.
func (a *App) TermOver() {
	a.census.set(Census{})
	a.coverage.Set(math.NaN())
}
