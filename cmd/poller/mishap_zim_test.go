package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/zim-presence/poller/internal/page"
	"github.com/zim-presence/poller/internal/zimsim"
)

// ofWorld is a series of the app that is swept often.
func ofWorld(name string) string { return fmt.Sprintf(`%s{app="%d"}`, name, uint32(worldApp)) }

// troubled tells whether the page shows trouble with ZIM.
func troubled(b page.Board) bool { return appOf(b, worldApp).Trouble != "" }

// well are no faults any more.
func well(s *theatre) { s.sim.ClearFaults() }

// says does something, and waits until the log has this because of it.
func (d *drill) says(message string, does func(*theatre)) {
	d.t.Helper()
	before := d.daemon.logged(message)
	does(d.theatre)
	d.until("the log says "+message, func() bool { return d.daemon.logged(message) > before })
}

// amend puts this in the place of that in the configuration, and has it read.
func (s *theatre) amend(that, this string) {
	s.t.Helper()
	s.edit(that, this)
	s.reload("configuration reloaded")
}

// untilIdle waits until the app that is swept once an hour has been, under the lease that is held: what came before
// may have cost one, and a term begins with a sweep.
func (s *theatre) untilIdle() {
	s.t.Helper()
	s.until("the idle app has been swept", func() bool {
		s.daemon.mu.Lock()
		defer s.daemon.mu.Unlock()
		swept := false
		for _, line := range s.daemon.lines {
			switch of := strings.Contains(line, fmt.Sprintf(`"app":%d,`, uint32(idleApp))); {
			case of && strings.Contains(line, `"message":"sweep ended"`):
				swept = true
			case of && (strings.Contains(line, `"message":"lease taken"`) || strings.Contains(line, `"message":"lease lost"`)):
				swept = false
			}
		}
		return swept
	})
}

// mishapsOfZIM are those of the API and of the way there.
func mishapsOfZIM() []mishap {
	idle := fmt.Sprintf("zim/%d", uint32(idleApp))
	of := func(subject string) string { return fmt.Sprintf("%s/%d", subject, uint32(worldApp)) }
	answers := []string{ofWorld("poller_breaker_open") + " == 0", ofWorld("poller_coverage_ratio") + " == 1"}
	return []mishap{
		{
			what: "ZIM cannot be reached, between two sweeps", short: true,
			happen: func(s *theatre) { s.untilIdle(); s.idleZIM.Close() }, over: func(s *theatre) { s.startIdleZIM() },
			check: idle, says: "ZIM cannot be reached since", mend: "network, DNS, proxy, firewall",
			page: "the app's trouble, with the time from which it is so", shows: func(b page.Board) bool { return appOf(b, idleApp).Trouble != "" },
			metrics: []string{"poller_ready", `poller_check_ok{app="` + fmt.Sprint(uint32(idleApp)) + `",check="zim"}`}, alerts: []string{"PollerNotReady"},
			doctor: "connection refused", until: []string{fmt.Sprintf(`poller_check_ok{app="%d",check="zim"} == 1`, uint32(idleApp))},
		},
		{
			what: "ZIM answers every request with HTTP 503", short: true,
			happen: func(s *theatre) { s.fault("http:503") }, over: well,
			check: of("zim"), says: "HTTP 503", mend: "see ZEGOCLOUD's status",
			page: "the app's trouble; coverage falls to 0; ages grow", shows: troubled,
			metrics: []string{"poller_ready", `result="http_5xx"`, `poller_missed_users_total{app="` + fmt.Sprint(uint32(worldApp)) + `",reason="failed"}`}, alerts: []string{"PollerZIMSilent"},
			doctor: "ZIM does not answer since", by: func(d *drill) { d.says("ZIM answers again", well) }, until: answers,
		},
		{
			what:   "ZIM takes connections and answers nothing",
			happen: func(s *theatre) { s.fault("hang") }, over: well, asked: true,
			check: of("zim"), says: "since", mend: "zim.base_url",
			page: "the app's trouble; the sweep stands; ages grow", shows: troubled,
			metrics: []string{"poller_ready", `result="timeout"`}, alerts: []string{"PollerZIMSilent"},
			doctor: "ask ZIM: no answer within 5s", by: func(d *drill) { d.says("ZIM answers again", well) }, until: answers,
		},
		{
			what:   "ZIM answers with half a page of JSON, and goes on with that",
			happen: func(s *theatre) { s.fault("truncated") }, over: well, asked: true,
			check: of("zim"), says: "since", mend: "see ZEGOCLOUD's status",
			page: "the app's trouble; ages grow", shows: func(b page.Board) bool {
				a := appOf(b, worldApp)
				return a.Trouble != "" && a.Ages != nil && a.Ages.Median > 15
			},
			metrics: []string{`result="unreadable"`, `poller_answer_age_seconds{app="` + fmt.Sprint(uint32(worldApp)) + `",rank="median"}`},
			alerts:  []string{"PollerZIMSilent", "PollerAnswersOld"},
			doctor:  "ask ZIM: read the reply: ",
			by:      func(d *drill) { d.says("ZIM answers again", well) },
			until:   append([]string{fmt.Sprintf(`poller_answer_age_seconds{app="%d",rank="median"} < 10`, uint32(worldApp))}, answers...),
		},
		{
			what: "ZIM asks to be left alone for minutes: a sweep stands",
			happen: func(s *theatre) {
				if err := s.sim.AddFaults(zimsim.Fault{Kind: zimsim.HTTPError, Status: 503, RetryAfter: 90, Count: 1}); err != nil {
					s.t.Fatal(err)
				}
			},
			over:  func(*theatre) {},
			check: of("sweep"), minute: true, says: "ZIM has asked to be left alone until", mend: "wait: it goes on by itself",
			page: "the check `sweep`; the sweep stands", shows: func(b page.Board) bool { return appOf(b, worldApp).Running != nil },
			metrics: []string{"poller_ready", `check="sweep"`, `result="http_5xx"`}, alerts: []string{"PollerNotReady"},
			doctor: "ZIM has asked to be left alone until",
			look:   func(d *drill) { d.logs("ZIM asks to be left alone, and nobody is asked about meanwhile") },
			until:  []string{fmt.Sprintf(`poller_check_ok{app="%d",check="sweep"} == 1`, uint32(worldApp))},
		},
		{
			what:   "ZIM refuses the signature: a wrong or changed secret",
			happen: func(s *theatre) { s.amend(theirSecret(worldSecret), theirSecret("ffffffffffffffffffffffffffffffff")) },
			over:   func(s *theatre) { s.amend(theirSecret("ffffffffffffffffffffffffffffffff"), theirSecret(worldSecret)) },
			asked:  true,
			check:  of("zim"), says: "100000005", mend: "check the server secret",
			page: "the app's trouble, with ZIM's code", shows: troubled,
			metrics: []string{"poller_ready", `result="100000005"`}, alerts: []string{"PollerAppRefused"},
			doctor: "check the server secret",
			by: func(d *drill) {
				d.edit(theirSecret("ffffffffffffffffffffffffffffffff"), theirSecret(worldSecret))
				d.sh("poller check", "server_secret")
				d.reload("configuration reloaded")
			},
			until: []string{fmt.Sprintf(`increase(poller_requests_total{app="%d",result="0"}[5s]) > 0`, uint32(worldApp))},
		},
		{
			what:   "The clocks of this machine and of ZIM are a minute apart",
			happen: func(s *theatre) { s.sim.SetSkew(time.Minute) }, over: func(s *theatre) { s.sim.SetSkew(0) },
			page: "by how much this machine's clock is ahead or behind", shows: func(b page.Board) bool { return appOf(b, worldApp).Clock < -50 },
			metrics: []string{"poller_zim_clock_skew_seconds"}, alerts: []string{"PollerClockOff"},
			doctor: "behind ZIM's",
			look: func(d *drill) {
				d.logs("this machine's clock and ZIM's differ; event times are by this one, and ZIM refuses every request from ten minutes on: set this machine's clock")
			},
			until: []string{"abs(" + ofWorld("poller_zim_clock_skew_seconds") + ") < 5"},
		},
		{
			what:   "The clocks of this machine and of ZIM are eleven minutes apart",
			happen: func(s *theatre) { s.sim.SetSkew(-11 * time.Minute) }, over: func(s *theatre) { s.sim.SetSkew(0) }, asked: true,
			check: of("zim"), says: "100000004", mend: "set this machine's clock",
			page: "the app's trouble, with whose clock is ahead", shows: func(b page.Board) bool { return strings.Contains(appOf(b, worldApp).Trouble, "ahead of ZIM's") },
			metrics: []string{"poller_zim_clock_skew_seconds", `result="100000004"`}, alerts: []string{"PollerClockOff", "PollerAppRefused"},
			doctor: "ahead of ZIM's",
			until:  []string{"abs(" + ofWorld("poller_zim_clock_skew_seconds") + ") < 5", fmt.Sprintf(`increase(poller_requests_total{app="%d",result="0"}[5s]) > 0`, uint32(worldApp))},
		},
	}
}

// theirSecret is the place of the app's secret in the configuration.
func theirSecret(secret string) string {
	return fmt.Sprintf("app_id: %d, server_secret: %s", uint32(worldApp), secret)
}
