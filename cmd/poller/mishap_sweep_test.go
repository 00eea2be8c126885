package main

import (
	"fmt"
	"strings"

	"github.com/zim-presence/poller/internal/page"
	"github.com/zim-presence/poller/internal/zimsim"
)

// missedLast is the runbook's query for users whom the newest sweep missed.
const missedLast = "select user_id from user_states where app_id = 1234567890 and (select missed from snapshots where app_id = 1234567890 order by sweep desc limit 1) @> user_no limit 5;"

// missed looks, as the runbook has it, who was missed, and for what reason.
func (d *drill) missed(why string) {
	d.t.Helper()
	var user string
	d.until("somebody was missed", func() bool {
		user = d.shell(`psql -At "$POLLER_DATABASE_URL" -c "` + missedLast + `"`)
		user, _, _ = strings.Cut(user, "\n")
		return user != ""
	})
	d.quoted(missedLast) // the next sweep misses others
	d.until("it is explained by "+why, func() bool {
		return strings.Contains(d.explain(user), why)
	})
}

// explain asks about a user whose id may mean something to a shell.
func (d *drill) explain(user string, want ...string) string {
	d.t.Helper()
	return d.shell("poller explain --app 1234567890 -- '"+user+"'", want...)
}

func covered(b page.Board, atMost float64) bool {
	u := appOf(b, worldApp).Users
	return u != nil && u.Coverage != nil && *u.Coverage < atMost
}

// refusedIDs are legal, and longer than ZIM takes.
func refusedIDs(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("%d-%s", i, strings.Repeat("x", 40)))
	}
	return ids
}

// emptyApp is one on whose watchlist nobody is.
const emptyApp = 8

// emptyApp is its line in the configuration.
func (s *theatre) emptyApp() string {
	return fmt.Sprintf("  - {app_id: %d, server_secret: %s, schedule: '@every 2s', base_url: 'http://%s'}\n", emptyApp, worldSecret, s.idleAt)
}

// takenIDs are new ones that ZIM takes, in a batch with others.
func takenIDs() (ids []string) {
	for i := range 9 {
		ids = append(ids, fmt.Sprintf("taken-%d", i))
	}
	return ids
}

// leave has all but a few of those online log out.
func (s *theatre) leave(but int) {
	s.t.Helper()
	states := map[string]zimsim.State{}
	online := among(s.users, zimsim.Online, len(s.users))
	for _, id := range online[but:] {
		states[id], s.users[id] = zimsim.LoggedOut, zimsim.LoggedOut
	}
	s.set(states)
	s.t.Cleanup(func() {
		for id := range states {
			states[id], s.users[id] = zimsim.Online, zimsim.Online
		}
		s.set(states)
	})
}

// mishapsOfSweeps are those in which sweeps go on, and bring less than they should.
func mishapsOfSweeps() []mishap {
	ofApp := func(name, label, value string) string {
		return fmt.Sprintf(`%s{app="%d",%s="%s"}`, name, uint32(worldApp), label, value)
	}
	whole := []string{ofWorld("poller_coverage_ratio") + " > 0.99"}
	incident := func(b page.Board) bool { return len(appOf(b, worldApp).Incidents) > 0 }
	return []mishap{
		{
			what:   "ZIM takes fewer requests than zim.rate: the contract, or another program",
			happen: func(s *theatre) { s.zim.SetRate(3) }, over: func(*theatre) {},
			page: "the rate under Budget is below the setting", shows: func(b page.Board) bool {
				budget := appOf(b, worldApp).Budget
				return budget.Rate < 0.9*budget.Setting
			},
			metrics: []string{`result="660300005"`, "poller_budget_rate"}, alerts: []string{"PollerBudgetCut"},
			look: func(d *drill) {
				d.logs("ZIM says that there are too many requests; fewer are sent until it takes more")
			},
			by: func(d *drill) {
				d.amend("rate: 20", "rate: 3")
				d.t.Cleanup(func() { d.zim.SetRate(20); d.amend("rate: 3", "rate: 20") })
			},
			until: []string{ofWorld("poller_budget_rate") + " == " + ofWorld("poller_budget_limit")},
		},
		{
			what:   "zim.rate is too low for the schedule",
			happen: func(s *theatre) { s.amend("rate: 20", "rate: 1") }, over: func(*theatre) {},
			page: "how many due times went by while the newest sweep ran", shows: func(b page.Board) bool {
				last := appOf(b, worldApp).Last
				return last != nil && last.Skipped > 0
			},
			metrics: []string{"poller_sweeps_skipped_total", "poller_budget_wait_seconds_total"}, alerts: []string{"PollerScheduleTight"},
			doctor: "due times will be skipped",
			look: func(d *drill) {
				d.logs("the sweep lasted longer than the schedule leaves room for")
				d.sh("poller plan", "fits the schedule       no", "what would fit")
			},
			by: func(d *drill) {
				d.edit("rate: 1}", "rate: 20}")
				d.sh("poller plan", "fits the schedule       yes")
				d.reload("configuration reloaded")
			},
			until: []string{"increase(" + ofWorld("poller_sweeps_skipped_total") + "[10s]) == 0"},
		},
		{
			what:   "ZIM leaves users out of its answers",
			happen: func(s *theatre) { s.fault("partial:0.3") }, over: well,
			page: "coverage falls", shows: func(b page.Board) bool { return covered(b, 0.9) },
			metrics: []string{`reason="absent"`, "poller_coverage_ratio"}, alerts: []string{"PollerCoverageLow"},
			doctor: "docs/operations.md says under PollerCoverageLow", look: func(d *drill) { d.missed("missed: absent") }, until: whole,
		},
		{
			what:   "ZIM contradicts itself, and uses words that nobody knows",
			happen: func(s *theatre) { s.fault("unknown_status:0.7,contradictory:0.2,invented:0.2") }, over: well,
			page: "coverage falls", shows: func(b page.Board) bool { return covered(b, 0.97) },
			metrics: []string{`reason="conflict"`, `reason="unreadable"`, "poller_coverage_ratio"}, alerts: []string{"PollerCoverageLow"},
			look: func(d *drill) { d.missed("missed: conflict"); d.missed("missed: unreadable") }, until: whole,
		},
		{
			what: "Most of ZIM's answers take longer than zim.timeout",
			happen: func(s *theatre) {
				s.amend("rate: 20}", "rate: 20, timeout: 1s}")
				s.fault("slow:2s@0.7")
			},
			over: func(*theatre) {},
			page: "coverage falls; sweeps last longer", shows: func(b page.Board) bool { return covered(b, 0.9) },
			metrics: []string{`result="timeout"`, `reason="failed"`, "poller_coverage_ratio"}, alerts: []string{"PollerCoverageLow"},
			by: func(d *drill) {
				d.amend("rate: 20, timeout: 1s}", "rate: 20}")
				d.t.Cleanup(func() { d.sim.ClearFaults() })
			},
			until: whole,
		},
		{
			what:   "Most of ZIM's answers are cut off on their way",
			happen: func(s *theatre) { s.fault("cut_body@0.7") }, over: well,
			page: "coverage falls", shows: func(b page.Board) bool { return covered(b, 0.9) },
			metrics: []string{`result="cut"`, `reason="failed"`, "poller_coverage_ratio"}, alerts: []string{"PollerCoverageLow"},
			look: func(d *drill) { d.missed("nothing: cut") }, until: whole,
		},
		{
			what:   "ZIM refuses an id, and with it the batch",
			happen: func(s *theatre) { s.watch(append(takenIDs(), refusedIDs(1)...)...) }, over: func(s *theatre) { s.unwatch(append(takenIDs(), refusedIDs(1)...)...) },
			page: "one user without an answer", shows: func(b page.Board) bool {
				last := appOf(b, worldApp).Last
				return last != nil && last.Missed == 1 && last.Seen == 409
			},
			metrics: []string{`reason="refused"`, `result="660000012"`},
			look: func(d *drill) {
				d.logs("ZIM refuses this id; this process asks about it alone and rarely from now on")
				d.missed("ZIM refuses the id itself")
			},
		},
		{
			what:   "ZIM refuses one id in seventy",
			happen: func(s *theatre) { s.watch(append(takenIDs(), refusedIDs(6)...)...) }, over: func(*theatre) {},
			page: "coverage falls", shows: func(b page.Board) bool { return covered(b, 0.99) },
			metrics: []string{`reason="refused"`, "poller_coverage_ratio"}, alerts: []string{"PollerCoverageLow"},
			doctor: "6 ids longer than the 32 bytes",
			look:   func(d *drill) { d.missed("ZIM refuses the id itself") },
			by: func(d *drill) {
				d.shell("poller watch remove --app 1234567890 " + strings.Join(append(takenIDs(), refusedIDs(6)...), " "))
			},
			until: whole,
		},
		{
			what:   "ZIM refuses every id of a new kind",
			happen: func(s *theatre) { s.watch(refusedIDs(30)...) }, over: func(s *theatre) { s.unwatch(refusedIDs(30)...) },
			page: "coverage falls; ZIM's code, with the newest sweep", shows: func(b page.Board) bool {
				last := appOf(b, worldApp).Last
				return covered(b, 0.99) && last != nil && strings.Contains(last.Failure, "660000012")
			},
			metrics: []string{`reason="failed"`, `result="660000012"`, "poller_coverage_ratio"}, alerts: []string{"PollerCoverageLow"},
			doctor: "30 ids longer than the 32 bytes", look: func(d *drill) { d.missed("660000012") }, until: whole,
		},
		{
			what:   "Nobody is on the watchlist of an app",
			happen: func(s *theatre) { s.amend("apps:\n", "apps:\n"+s.emptyApp()) }, over: func(s *theatre) { s.amend(s.emptyApp(), "") },
			page: "that the watchlist is empty; sweeps are complete", shows: func(b page.Board) bool {
				a := appOf(b, emptyApp)
				return a.Last != nil && a.Last.Complete && a.Users != nil && a.Users.Watched == 0
			},
			metrics: []string{fmt.Sprintf(`poller_sweeps_total{app="%d",outcome="complete"}`, emptyApp)}, doctor: "nobody is watched",
			look: func(d *drill) {
				d.until("it raised no alert", func() bool {
					return d.prometheus.holds(fmt.Sprintf(`increase(poller_sweeps_total{app="%d",outcome="complete"}[10s]) > 3 unless on (app) ALERTS{app="%[1]d"}`, emptyApp))
				})
			},
		},
		{
			what:   "ZIM says that everybody has gone, and they have not",
			happen: func(s *theatre) { s.fault("gone:1") }, over: well,
			page: "an incident, and how many users are held back", shows: incident,
			metrics: []string{"poller_incident_users"}, alerts: []string{"PollerIncident"},
			look: func(d *drill) {
				d.logs("so many users have gone at once, as ZIM says, that some are asked about again before it is told")
			},
			by: func(d *drill) {
				d.says("it is decided about the users who had gone at once", well)
				d.explain(among(d.users, zimsim.Online, 1)[0], "incidents of the app", "discarded")
			},
			until: []string{ofWorld("poller_incident_users") + " == 0", ofApp("poller_incidents_total", "outcome", "discarded") + " > 0"},
		},
		{
			what:   "Nearly everybody has gone at once, and they have",
			happen: func(s *theatre) { s.leave(10) }, over: func(*theatre) {},
			page: "an incident", shows: incident,
			metrics: []string{`outcome="released"`}, alerts: []string{"PollerIncident"},
			look: func(d *drill) {
				d.logs("it is decided about the users who had gone at once")
				d.explain(among(d.users, zimsim.Online, 1)[0], "incidents of the app", "released")
			},
			until: []string{ofWorld("poller_incident_users") + " == 0", ofApp("poller_incidents_total", "outcome", "released") + " > 0"},
		},
	}
}
