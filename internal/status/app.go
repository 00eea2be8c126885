package status

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zim-presence/poller/presence"
)

// App are the metrics of one app. Its methods may be called from any goroutine
// and take well under a microsecond a value.
type App struct {
	requests, transitions, missed, suppressed                                                                    counts
	started, completed, broken, skipped, seen, invented, told, slots, heldUsers, controlFailures, controlGivenUp prometheus.Counter
	running, complete, watched, invalid, long, sweepRequests                                                     prometheus.Gauge
	rate, limit, heldChanges, coverage, interval                                                                 prometheus.Gauge
	request, sweep, commit, publish, delay                                                                       prometheus.Observer
	lag                                                                                                          *lag

	incidents     counts
	incidentUsers prometheus.Gauge
	breaker, skew prometheus.Gauge
	census        census
	callbacks     callbacks

	retries  prometheus.Counter
	slotWait slotWait
	lease    *leased
}

func newApp(f families, app string) *App {
	a := &App{
		requests: countsBy(f.requests, app, results()), transitions: countsBy(f.transitions, app, kinds()),
		missed: countsBy(f.missed, app, reasons()), suppressed: countsBy(f.suppressed, app, whys()), heldChanges: f.heldChanges.WithLabelValues(app),
		started: f.started.WithLabelValues(app), completed: f.sweeps.WithLabelValues(app, complete),
		broken: f.sweeps.WithLabelValues(app, partial), skipped: f.skipped.WithLabelValues(app),
		seen: f.seen.WithLabelValues(app), invented: f.invented.WithLabelValues(app), heldUsers: f.heldUsers.WithLabelValues(app), told: f.told.WithLabelValues(app),
		controlFailures: f.controlFailures.WithLabelValues(app), controlGivenUp: f.controlGivenUp.WithLabelValues(app),
		slots: f.slots.WithLabelValues(app), rate: f.rate.WithLabelValues(app), limit: f.limit.WithLabelValues(app),
		retries: f.retries.WithLabelValues(app), slotWait: slotWait{seconds: f.slotWait.WithLabelValues(app)},
		running: f.running.WithLabelValues(app), complete: f.complete.WithLabelValues(app),
		watched: f.watched.WithLabelValues(app), invalid: f.invalid.WithLabelValues(app), long: f.long.WithLabelValues(app),
		sweepRequests: f.sweepRequests.WithLabelValues(app), coverage: f.coverage.WithLabelValues(app), interval: f.interval.WithLabelValues(app), lease: newLeased(f, app),
		request: f.request.WithLabelValues(app), sweep: f.sweep.WithLabelValues(app), commit: f.commit.WithLabelValues(app),
		delay: f.delay.WithLabelValues(app), publish: f.publish.WithLabelValues(app),
		incidents: countsBy(f.incidents, app, outcomes()), incidentUsers: f.incidentUsers.WithLabelValues(app),
		breaker: f.breaker.WithLabelValues(app), skew: f.skew.WithLabelValues(app),
		census: newCensus(f.census, app), callbacks: newCallbacks(f.callbacks, app),
		lag: newLag(f.lag.WithLabelValues(app), app),
	}
	a.coverage.Set(math.NaN())
	return a
}

// Attempted counts one request and the time that it took. The result is one of
// the client's words; one that is not known is counted as "other".
func (a *App) Attempted(result string, elapsed time.Duration) {
	a.requests.of(result).Inc()
	a.request.Observe(elapsed.Seconds())
}

// SetBreaker says whether requests are held up because ZIM does not answer.
func (a *App) SetBreaker(open bool) { a.breaker.Set(flag(open)) }

// SetSkew says how far this machine's clock is ahead of ZIM's.
func (a *App) SetSkew(ahead time.Duration) { a.skew.Set(ahead.Seconds()) }

// Recorded counts what a commit has written, and the time that it took. To be
// called after the commit.
func (a *App) Recorded(c presence.Changes, elapsed time.Duration) {
	for i := range c.Transitions {
		a.transitions.of(c.Transitions[i].Kind.String()).Inc()
	}
	a.commit.Observe(elapsed.Seconds())
}

// Published notes the time that it took to have a group of events acknowledged by the
// stream, from the first sending to the last acknowledgement.
func (a *App) Published(elapsed time.Duration) { a.publish.Observe(elapsed.Seconds()) }

// SetHeldChanges says how many changes wait to be confirmed.
func (a *App) SetHeldChanges(n int) { a.heldChanges.Set(float64(n)) }

// Suppressed counts a change that will never be told, by why; a word that is not
// known is counted as "other".
func (a *App) Suppressed(why string) { a.suppressed.of(why).Inc() }

// Incident counts an incident, by what came of it: "released" or "discarded".
func (a *App) Incident(outcome string) { a.incidents.of(outcome).Inc() }

// SetIncidentUsers says how many users are said to be offline and are not believed
// to be yet.
func (a *App) SetIncidentUsers(n int) { a.incidentUsers.Set(float64(n)) }

// Told counts a group of events that the stream has acknowledged just now:
// how many, which was the newest, and how many more the ledger has. A group of
// none tells the lag alone.
func (a *App) Told(events int, newest presence.Event, lag int64) {
	if events > 0 {
		add(a.told, events)
		a.delay.Observe(max(0, time.Since(newest.KnownAt())).Seconds())
	}
	a.lag.told(lag, newest.KnownAt())
}

// SetLag says how many events the ledger has that the stream has not, and how
// long ago the oldest of them was observed. The age grows by itself until the
// next call of SetLag or Told; without events it is 0.
func (a *App) SetLag(events int64, oldest time.Duration) {
	a.lag.set(events, time.Now().Add(-max(0, oldest)))
}

// ControlFailed counts something that could not be told on the control stream.
func (a *App) ControlFailed() { a.controlFailures.Inc() }

// ControlGivenUp counts a message for it that never will be told.
func (a *App) ControlGivenUp() { a.controlGivenUp.Inc() }

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
