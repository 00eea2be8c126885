package status

import (
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/zim-presence/poller/presence"
)

// series returns the counters and gauges of the poller that are not 0 or NaN, but for what is never 0, and of
// each histogram that is not empty the count and the sum, by the name and the
// labels other than the app.
func series(t *testing.T, m *Metrics) map[string]float64 {
	t.Helper()
	gathered, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	put := func(name string, value float64) {
		if value != 0 && !math.IsNaN(value) {
			found[name] = value
		}
	}
	for _, f := range gathered {
		if !strings.HasPrefix(f.GetName(), "poller_") || f.GetName() == "poller_build_info" || strings.HasPrefix(f.GetName(), "poller_config_last_") {
			continue
		}
		for _, s := range f.GetMetric() {
			name := strings.TrimPrefix(f.GetName(), "poller_")
			for _, l := range s.GetLabel() {
				if l.GetName() != "app" {
					name += " " + l.GetValue()
				}
			}
			put(name, s.GetCounter().GetValue()+s.GetGauge().GetValue())
			put(name+" count", float64(s.GetHistogram().GetSampleCount()))
			put(name+" sum", s.GetHistogram().GetSampleSum())
		}
	}
	return found
}

func TestAppCounts(t *testing.T) {
	event := func(ago time.Duration) presence.Event {
		return presence.Event{Transition: presence.Transition{ObservedAt: presence.Instant(time.Now().Add(-ago))}}
	}
	for _, c := range []struct {
		name string
		do   func(a *App)
		want map[string]float64
	}{
		{"nothing", func(*App) {}, map[string]float64{}},
		{"requests", func(a *App) {
			a.Attempted("0", 500*time.Millisecond)
			a.Attempted("http_429", 250*time.Millisecond)
			a.Attempted("424242", 250*time.Millisecond)
			a.Attempted("", 0)
		}, map[string]float64{
			"requests_total 0": 1, "requests_total http_429": 1, "requests_total other": 2,
			"request_duration_seconds count": 4, "request_duration_seconds sum": 1,
		}},
		{"budget", func(a *App) { a.BudgetSpent(1); a.BudgetSpent(20) }, map[string]float64{"budget_slots_total": 21}},
		{"rate", func(a *App) { a.SetRate(20, 20); a.SetRate(7.5, 20) }, map[string]float64{"budget_rate": 7.5, "budget_limit": 20}},
		{"retries", func(a *App) { a.Retried(); a.Retried() }, map[string]float64{"retries_total": 2}},
		{"waits for slots", func(a *App) {
			first := a.AwaitSlot()
			time.Sleep(2 * time.Second)
			second := a.AwaitSlot() // beside the first: time is not counted twice
			time.Sleep(time.Second)
			first()
			time.Sleep(time.Second)
			second()
			time.Sleep(time.Minute)
			a.AwaitSlot()()
		}, map[string]float64{"budget_wait_seconds_total": 4}},
		{"an outage", func(a *App) { a.SetBreaker(true) }, map[string]float64{"breaker_open": 1}},
		{"an outage that is over", func(a *App) { a.SetBreaker(true); a.SetBreaker(false) }, map[string]float64{}},
		{"clocks", func(a *App) { a.SetSkew(-1500 * time.Millisecond) }, map[string]float64{"zim_clock_skew_seconds": -1.5}},
		{"a sweep that runs", func(a *App) { a.SweepStarted(300) }, map[string]float64{
			"sweeps_started_total": 1, "sweep_running": 1, "watched_users": 300,
		}},
		{"a complete sweep", func(a *App) {
			a.SweepStarted(300)
			a.SweepEnded(Sweep{
				Watched: 301, Seen: 290, Invalid: 2, Long: 3, RemovalsHeld: 6, Requests: 5, Invented: 4,
				Missed:  map[presence.MissReason]int{presence.MissAbsent: 7, presence.MissRefused: 1, "new": 3, "newer": 1},
				Elapsed: 2 * time.Second, Finished: time.UnixMilli(1_700_000_000_250), Complete: true,
			})
		}, map[string]float64{
			"sweeps_started_total": 1, "sweeps_total complete": 1, "watched_users": 301, "invalid_users": 2, "long_users": 3,
			"seen_users_total": 290, "invented_users_total": 4, "held_users_total": 6, "missed_users_total absent": 7, "missed_users_total refused": 1,
			"missed_users_total other": 4, "last_sweep_requests": 5, "sweep_duration_seconds count": 1, "sweep_duration_seconds sum": 2,
			"last_complete_sweep_timestamp_seconds": 1_700_000_000.25, "coverage_ratio": 290. / 301,
		}},
		{"a sweep of a term that is over", func(a *App) {
			a.SweepEnded(Sweep{Watched: 4, Seen: 3, Finished: time.UnixMilli(1_700_000_000_250), Complete: true})
			a.TermOver()
		}, map[string]float64{
			"sweeps_total complete": 1, "watched_users": 4, "seen_users_total": 3, "sweep_duration_seconds count": 1,
			"last_complete_sweep_timestamp_seconds": 1_700_000_000.25,
		}},
		{"a sweep that nobody answers", func(a *App) {
			missed := map[presence.MissReason]int{presence.MissFailed: 300}
			a.SweepEnded(Sweep{Watched: 300, Seen: 300, Finished: time.UnixMilli(1_700_000_000_250), Complete: true})
			a.SweepEnded(Sweep{Watched: 300, Missed: missed, Finished: time.UnixMilli(1_700_000_060_250), Complete: true})
		}, map[string]float64{
			"sweeps_total complete": 2, "watched_users": 300, "seen_users_total": 300, "missed_users_total failed": 300,
			"sweep_duration_seconds count": 2, "last_complete_sweep_timestamp_seconds": 1_700_000_000.25,
		}},
		{"a sweep about nobody", func(a *App) { a.SweepEnded(Sweep{Finished: time.UnixMilli(1_700_000_000_250), Complete: true}) }, map[string]float64{
			"sweeps_total complete": 1, "sweep_duration_seconds count": 1, "coverage_ratio": 1, "last_complete_sweep_timestamp_seconds": 1_700_000_000.25,
		}},
		{"a sweep broken off", func(a *App) {
			a.SweepStarted(300)
			a.SweepEnded(Sweep{Watched: 300, Elapsed: time.Second, Finished: time.Now()})
		}, map[string]float64{
			"sweeps_started_total": 1, "sweeps_total partial": 1, "watched_users": 300,
			"sweep_duration_seconds count": 1, "sweep_duration_seconds sum": 1,
		}},
		{"a schedule", func(a *App) { a.SetInterval(90 * time.Second) }, map[string]float64{"schedule_interval_seconds": 90}},
		{"skipped", func(a *App) { a.SweepsSkipped(3); a.SweepsSkipped(0); a.SweepsSkipped(-1) }, map[string]float64{"sweeps_skipped_total": 3}},
		{"a commit", func(a *App) {
			a.Recorded(presence.Changes{Transitions: []presence.Transition{
				{Kind: presence.KindOnline}, {Kind: presence.KindOffline}, {Kind: presence.KindOnline}, {Kind: presence.KindBaseline},
				{Kind: presence.KindRemoved}, {Kind: 77}, {},
			}}, time.Second)
		}, map[string]float64{
			"transitions_total online": 2, "transitions_total offline": 1, "transitions_total baseline": 1, "transitions_total removed": 1,
			"transitions_total other": 2, "commit_duration_seconds count": 1, "commit_duration_seconds sum": 1,
		}},
		{"a census", func(a *App) {
			a.SetCensus(Census{
				Online: 3, Offline: 4, Unknown: 5, Ages: [12]int{0: 1, 1: 2, 5: 4, 11: 2}, Never: 3,
				Median: 11 * time.Second, P99: 1500 * time.Millisecond, Oldest: 48 * time.Hour,
			})
		}, map[string]float64{
			"users online": 3, "users offline": 4, "users unknown": 5, "never_answered_users": 3,
			"answer_age_users 5": 1, "answer_age_users 10": 3, "answer_age_users 30": 3, "answer_age_users 60": 3, "answer_age_users 120": 3,
			"answer_age_users 300": 7, "answer_age_users 600": 7, "answer_age_users 1800": 7, "answer_age_users 3600": 7,
			"answer_age_users 21600": 7, "answer_age_users 86400": 7, "answer_age_users +Inf": 9,
			"answer_age_seconds median": 11, "answer_age_seconds p99": 1.5, "answer_age_seconds oldest": 172800,
		}},
		{"a census that is forgotten", func(a *App) {
			a.SetCensus(Census{Online: 3, Ages: [12]int{2: 3}, Median: 11 * time.Second, P99: 12 * time.Second, Oldest: 12 * time.Second})
			a.TermOver()
		}, map[string]float64{}},
		{"an append", func(a *App) { a.Published(250 * time.Millisecond) }, map[string]float64{
			"publish_duration_seconds count": 1, "publish_duration_seconds sum": 0.25,
		}},
		{"incidents", func(a *App) {
			a.SetIncidentUsers(90)
			a.Incident("released")
			a.Incident("discarded")
			a.Incident("discarded")
			a.Incident("undecided")
			a.SetIncidentUsers(7)
		}, map[string]float64{"incidents_total released": 1, "incidents_total discarded": 2, "incidents_total other": 1, "incident_users": 7}},
		{"told", func(a *App) { a.Told(40, event(3*time.Second), 2) }, map[string]float64{
			"told_events_total": 40, "event_delay_seconds count": 1, "event_delay_seconds sum": 3, "lag_events": 2, "lag_seconds": 3,
		}},
		{"told all", func(a *App) { a.SetLag(40, time.Minute); a.Told(40, event(3*time.Second), 0) }, map[string]float64{
			"told_events_total": 40, "event_delay_seconds count": 1, "event_delay_seconds sum": 3,
		}},
		{"told none", func(a *App) { a.SetLag(40, time.Minute); a.Told(0, presence.Event{}, 40) }, map[string]float64{
			"lag_events": 40, "lag_seconds": 60,
		}},
		{"told some of an old lag", func(a *App) { a.SetLag(50, time.Minute); a.Told(40, event(3*time.Second), 10) }, map[string]float64{
			"told_events_total": 40, "event_delay_seconds count": 1, "event_delay_seconds sum": 3, "lag_events": 10, "lag_seconds": 3,
		}},
		{"told from the future", func(a *App) { a.Told(1, event(-time.Hour), 1) }, map[string]float64{
			"told_events_total": 1, "event_delay_seconds count": 1, "lag_events": 1,
		}},
		{"a lag that nobody mends", func(a *App) { a.SetLag(7, time.Minute); time.Sleep(time.Hour) }, map[string]float64{
			"lag_events": 7, "lag_seconds": 3660,
		}},
		{"no lag", func(a *App) { a.SetLag(7, time.Minute); a.SetLag(0, time.Minute) }, map[string]float64{}},
		{"a lease", func(a *App) { a.SetLease(true, 12) }, map[string]float64{"lease_held": 1, "lease_epoch": 12, "lease_state held": 1}},
		{"a lease lost", func(a *App) { a.SetLease(true, 12); a.SetLease(false, 0) }, map[string]float64{"lease_epoch": 12}},
		{"another's lease", func(a *App) { a.SetLease(true, 12); a.SetLease(false, 0); a.SeenLease(LeaseStandby, 13) }, map[string]float64{
			"lease_epoch": 13, "lease_state standby": 1,
		}},
		{"what was seen a moment before it was taken", func(a *App) { a.SetLease(true, 12); a.SeenLease(LeaseFree, 11) }, map[string]float64{
			"lease_held": 1, "lease_epoch": 12, "lease_state held": 1,
		}},
		{"nobody's lease", func(a *App) { a.SeenLease(LeaseFree, 0); a.SetLease(false, 0) }, map[string]float64{"lease_state free": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := NewMetrics("v1")
				c.do(m.App(7))
				got := series(t, m)
				delete(got, "lease_state unknown") // as long as nobody has looked
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("series (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Alerts on absence are not needed: what can be counted is there from the start.
func TestAllSeriesExistFromTheStart(t *testing.T) {
	m := NewMetrics("v1")
	m.App(1)
	before := names(t, m)
	a := m.App(1)
	for _, word := range append(results(), "?") {
		a.Attempted(word, time.Second)
	}
	missed := map[presence.MissReason]int{"?": 1}
	for _, word := range reasons() {
		missed[presence.MissReason(word)] = 1
	}
	a.SweepStarted(1)
	a.SweepEnded(Sweep{Missed: missed})
	a.SweepEnded(Sweep{Complete: true})
	for k := presence.Kind(0); k < 9; k++ {
		a.Recorded(presence.Changes{Transitions: []presence.Transition{{Kind: k}}}, 0)
	}
	a.Told(1, presence.Event{}, 1)
	a.SetLease(true, 1)
	if diff := cmp.Diff(before, names(t, m)); diff != "" {
		t.Errorf("series before and after (-before +after):\n%s", diff)
	}
	if got, want := before["poller_requests_total"], len(results())+1; got != want {
		t.Errorf("%d series of requests, want %d", got, want)
	}
}

// names returns how many series each metric of the poller has.
func names(t *testing.T, m *Metrics) map[string]int {
	t.Helper()
	gathered, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, f := range gathered {
		if strings.HasPrefix(f.GetName(), "poller_") {
			found[f.GetName()] = len(f.GetMetric())
		}
	}
	return found
}

func TestAppsAreApart(t *testing.T) {
	m := NewMetrics("v1")
	one, two := m.App(1), m.App(2)
	if one == two || m.App(1) != one {
		t.Fatal("App does not return the same for the same id alone")
	}
	one.BudgetSpent(1)
	alone := NewMetrics("v1")
	alone.App(1)
	single := names(t, alone)
	ofProcess := []string{"poller_build_info", "poller_replicas_live", "poller_apps_assigned", "poller_pruned_bytes_total",
		"poller_ledger_held_partitions", "poller_ledger_oldest_timestamp_seconds"}
	for name, n := range names(t, m) {
		if !slices.Contains(ofProcess, name) && !strings.HasPrefix(name, "poller_config_") && n != 2*single[name] {
			t.Errorf("%s: %d series for two apps, want twice %d", name, n, single[name])
		}
	}
	if got := series(t, m)["budget_slots_total"]; got != 1 {
		t.Errorf("slots of one app: %v, want 1", got)
	}
}

func TestReplicas(t *testing.T) {
	m := NewMetrics("v1")
	m.SetReplicas(3, 2)
	want := map[string]float64{"replicas_live": 3, "apps_assigned": 2}
	if diff := cmp.Diff(want, series(t, m)); diff != "" {
		t.Errorf("SetReplicas(3, 2) (-want +got):\n%s", diff)
	}
}

func TestManyCountAtOnce(t *testing.T) {
	m := NewMetrics("v1")
	const each = 200
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range each {
				a := m.App(uint32(1 + i%3))
				a.Attempted("0", time.Millisecond)
				a.SweepStarted(1)
				a.SweepEnded(Sweep{Seen: 1, Complete: true})
				a.Recorded(presence.Changes{Transitions: make([]presence.Transition, 1)}, 0)
				a.Told(1, presence.Event{}, int64(i))
				a.SetLag(int64(i), time.Second)
				a.SetLease(true, 1)
				a.BudgetSpent(1)
			}
		})
	}
	all.Go(func() {
		for range 20 {
			series(t, m)
		}
	})
	all.Wait()
	gathered, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range gathered {
		if f.GetName() != "poller_told_events_total" {
			continue
		}
		total := 0.0
		for _, s := range f.GetMetric() {
			total += s.GetCounter().GetValue()
		}
		if total != 8*each {
			t.Errorf("told %v events, want %d", total, 8*each)
		}
	}
}

func TestRetention(t *testing.T) {
	m := NewMetrics("v1")
	m.Pruned(5)
	m.Pruned(7)
	m.SetRetention(3, time.Unix(1_700_000_000, 0))
	for gauge, want := range map[prometheus.Collector]float64{
		m.retention.pruned: 12, m.retention.held: 3, m.retention.oldest: 1_700_000_000,
	} {
		if got := testutil.ToFloat64(gauge); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	m.SetRetention(0, time.Time{})
	if got := testutil.ToFloat64(m.retention.oldest); got != 0 {
		t.Errorf("without a ledger: %v, want 0", got)
	}
}
