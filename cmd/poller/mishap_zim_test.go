package main

import (
	"fmt"

	"github.com/zim-presence/poller/internal/page"
)

// mishapsOfZIM are those of the API and of the way there.
func mishapsOfZIM() []mishap {
	idle := fmt.Sprintf("zim/%d", uint32(idleApp))
	of := func(subject string) string { return fmt.Sprintf("%s/%d", subject, uint32(worldApp)) }
	trouble := func(b page.Board) bool { return appOf(b, worldApp).Trouble != "" }
	return []mishap{
		{
			what: "ZIM cannot be reached, between two sweeps", short: true,
			happen: func(s *theatre) { s.idleZIM.Close() }, over: func(s *theatre) { s.startIdleZIM() },
			check: idle, says: "ZIM cannot be reached since", mend: "network, DNS, proxy, firewall",
			page: "the app's trouble, with the time from which it is so", shows: func(b page.Board) bool { return appOf(b, idleApp).Trouble != "" },
			metrics: []string{"poller_ready", `poller_check_ok{app="` + fmt.Sprint(uint32(idleApp)) + `",check="zim"}`}, alerts: []string{"PollerNotReady"},
		},
		{
			what: "ZIM answers every request with HTTP 503", short: true,
			happen: func(s *theatre) { s.fault("http:503") }, over: func(s *theatre) { s.sim.ClearFaults() },
			check: of("zim"), says: "HTTP 503", mend: "zim.base_url",
			page: "the app's trouble; coverage falls to 0; ages grow", shows: trouble,
			metrics: []string{"poller_ready", `result="http_5xx"`, `poller_missed_users_total{app="` + fmt.Sprint(uint32(worldApp)) + `",reason="failed"}`}, alerts: []string{"PollerZIMSilent"},
		},
		{
			what:   "ZIM takes connections and answers nothing",
			happen: func(s *theatre) { s.fault("hang") }, over: func(s *theatre) { s.sim.ClearFaults() }, asked: true,
			check: of("zim"), says: "since", mend: "zim.base_url",
			page: "the app's trouble; the sweep stands; ages grow", shows: trouble,
			metrics: []string{"poller_ready", `result="timeout"`}, alerts: []string{"PollerZIMSilent"},
		},
		{
			what:   "ZIM refuses the signature: a wrong or changed secret",
			happen: func(s *theatre) { s.fault("code:100000005") }, over: func(s *theatre) { s.sim.ClearFaults() },
			check: of("zim"), says: "100000005", mend: "check the server secret",
			page: "the app's trouble, with ZIM's code", shows: trouble,
			metrics: []string{"poller_ready", `result="100000005"`}, alerts: []string{"PollerAppRefused"},
		},
		{
			what:   "ZIM says too many requests: another program spends the limit",
			happen: func(s *theatre) { s.fault("code:660300005@0.7") }, over: func(s *theatre) { s.sim.ClearFaults() },
			page: "the rate under Budget is below the setting", shows: func(b page.Board) bool {
				budget := appOf(b, worldApp).Budget
				return budget.Rate < 0.9*budget.Setting
			},
			metrics: []string{`result="660300005"`, "poller_budget_rate"}, alerts: []string{"PollerBudgetCut"},
		},
		{
			what:   "ZIM leaves users out of its answers",
			happen: func(s *theatre) { s.fault("partial:0.3") }, over: func(s *theatre) { s.sim.ClearFaults() },
			page: "coverage falls", shows: func(b page.Board) bool {
				u := appOf(b, worldApp).Users
				return u != nil && u.Coverage != nil && *u.Coverage < 0.9
			},
			metrics: []string{`reason="absent"`, "poller_coverage_ratio"}, alerts: []string{"PollerCoverageLow"},
		},
		{
			what:   "ZIM says that nearly everybody has gone at once",
			happen: func(s *theatre) { s.fault("gone:1") }, over: func(s *theatre) { s.sim.ClearFaults() },
			page: "an incident, and how many users are held back", shows: func(b page.Board) bool { return len(appOf(b, worldApp).Incidents) > 0 },
			metrics: []string{"poller_incident_users"}, alerts: []string{"PollerIncident"},
		},
	}
}
