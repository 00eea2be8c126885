package status

import "github.com/prometheus/client_golang/prometheus"

// families are the metrics of all apps. The first label of each is the app.
type families struct {
	requests, transitions, missed, sweeps                                                                 *prometheus.CounterVec
	started, skipped, seen, invented, told, slots, heldUsers, controlFailures, controlGivenUp, suppressed *prometheus.CounterVec
	running, complete, watched, invalid, long, sweepRequests, lag, held, epoch, rate, limit               *prometheus.GaugeVec
	heldChanges, coverage, interval, leaseState                                                           *prometheus.GaugeVec
	request, sweep, commit, publish, delay                                                                *prometheus.HistogramVec

	incidents     *prometheus.CounterVec
	incidentUsers *prometheus.GaugeVec
	breaker, skew *prometheus.GaugeVec
	census        censusFamilies
	callbacks     callbackFamilies

	retries, slotWait *prometheus.CounterVec
}

func newFamilies(r prometheus.Registerer) families {
	f := families{
		started: counters(r, "poller_sweeps_started_total", "Sweeps begun."),
		sweeps:  counters(r, "poller_sweeps_total", "Sweeps ended, by whether everybody was asked about (complete) or the sweep was broken off (partial).", "outcome"),
		skipped: counters(r, "poller_sweeps_skipped_total", "Due times for which no sweep was begun because one was running and another waiting."),
		running: gauges(r, "poller_sweep_running", "1 while a sweep runs."),
		sweep: histograms(r, "poller_sweep_duration_seconds", "Time from the beginning of a sweep to its end, however it ended.",
			.1, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600),
		complete:      gauges(r, "poller_last_complete_sweep_timestamp_seconds", "Unix time at which the newest complete sweep ended that brought an answer, or had nobody to ask about; 0 until this process has ended one."),
		sweepRequests: gauges(r, "poller_last_sweep_requests", "Requests sent by the newest sweep, repetitions included."),

		interval: gauges(r, "poller_schedule_interval_seconds",
			"Time from one sweep to the next by the schedule, as it is around the newest one; 0 before the first term."),
		coverage: gauges(r, "poller_coverage_ratio",
			"Share of the watched users who were answered by the newest complete sweep, 0 to 1; NaN where this process has ended none in this term."),

		watched:   gauges(r, "poller_watched_users", "Users on the watchlist of the newest sweep."),
		invalid:   gauges(r, "poller_invalid_users", "Users on the watchlist of the newest sweep who are never asked about because their id is illegal."),
		long:      gauges(r, "poller_long_users", "Users on the watchlist of the newest sweep whose id is over 32 bytes, which ZIM may refuse."),
		heldUsers: counters(r, "poller_held_users_total", "Users gone from the watchlist who were not removed yet, because so many went at once, summed over the sweeps."),
		seen:      counters(r, "poller_seen_users_total", "Users answered, summed over the sweeps."),
		missed:    counters(r, "poller_missed_users_total", "Users without an answer, summed over the sweeps, by reason.", "reason"),
		invented:  counters(r, "poller_invented_users_total", "Users in answers of ZIM who had not been asked about."),

		transitions: counters(r, "poller_transitions_total", "Rows added to the ledger, by kind.", "kind"),
		heldChanges: gauges(r, "poller_held_changes", "Changes that were seen and wait to be confirmed before they are told."),
		suppressed:  counters(r, "poller_suppressed_changes_total", "Changes that were seen and will never be told, by why.", "why"),
		commit: histograms(r, "poller_commit_duration_seconds", "Time that a commit to the ledger took.",
			.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10),
		publish: histograms(r, "poller_publish_duration_seconds",
			"Time from sending a group of up to 2000 events to the stream to the acknowledgement of the last one.",
			.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10),
		told: counters(r, "poller_told_events_total", "Events acknowledged by the event stream."),
		delay: histograms(r, "poller_event_delay_seconds", "Time from observing the newest event of a group to the stream's acknowledgement of the group.",
			.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200),
		lag: gauges(r, "poller_lag_events", "Events in the ledger that the stream does not have yet."),

		controlFailures: counters(r, "poller_control_failures_total", "Times that something could not be told on the control stream. It is tried again, and holds up no event."),
		controlGivenUp:  counters(r, "poller_control_given_up_total", "Messages for the control stream that were given up: too many waited, or the term ended first."),

		incidents: counters(r, "poller_incidents_total",
			"Times that so many users had gone at once that some were asked about again before it was told, by what came of it.", "outcome"),
		incidentUsers: gauges(r, "poller_incident_users", "Users who are said to be offline and not believed to be yet, because so many are at once."),

		census: newCensusFamilies(r),

		callbacks: newCallbackFamilies(r),

		held: gauges(r, "poller_lease_held", "1 while this process holds the lease of the app."),
		leaseState: gauges(r, "poller_lease_state",
			"1 for how the lease stands, as this process sees it, and 0 for all else.", "state"),
		epoch: gauges(r, "poller_lease_epoch", "Epoch of the newest lease that this process held or saw."),
	}
	f.asking(r)
	return f
}

// asking makes those of asking ZIM, and of its budget.
func (f *families) asking(r prometheus.Registerer) {
	f.requests = counters(r, "poller_requests_total", "Requests sent to ZIM, repetitions included, by what became of each.", "result")
	f.request = histograms(r, "poller_request_duration_seconds", "Time from sending a request to the end of its reply or its failure.",
		.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
	f.retries = counters(r, "poller_retries_total",
		"Times that a batch was to be asked once more, because a request or a connect brought nothing, or not everybody.")
	f.slots = counters(r, "poller_budget_slots_total", "Slots of the request budget that were spent.")
	f.rate = gauges(r, "poller_budget_rate", "Requests a second that are allowed at the moment: the setting, or less since ZIM said that it is too much.")
	f.limit = gauges(r, "poller_budget_limit", "Requests a second that are allowed while ZIM does not complain: the setting.")
	f.slotWait = counters(r, "poller_budget_wait_seconds_total",
		"Time in which a request waited for its slot: a second a second, while the budget is what a sweep waits for.")
	f.breaker = gauges(r, "poller_breaker_open", "1 while ZIM does not answer and requests are held up, but for one at a time.")
	f.skew = gauges(r, "poller_zim_clock_skew_seconds", "How far this machine's clock is ahead of ZIM's, by the dates of its replies; 0 while nothing is known.")
}

func counters(r prometheus.Registerer, name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"app"}, labels...))
	r.MustRegister(v)
	return v
}

func gauges(r prometheus.Registerer, name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, append([]string{"app"}, labels...))
	r.MustRegister(v)
	return v
}

func histograms(r prometheus.Registerer, name, help string, buckets ...float64) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{"app"})
	r.MustRegister(v)
	return v
}
