package main

import (
	"fmt"
	"strings"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/page"
	"github.com/zim-presence/poller/migrations"
)

// mishapsOfProcess are those of the program itself, and of its machine.
func mishapsOfProcess() []mishap {
	const refused = "the configuration was not reloaded; the one before stays in force"
	return []mishap{
		{
			what:   "The only process dies and is not started again",
			happen: func(s *theatre) { s.daemon.kill() }, over: func(s *theatre) { s.startDaemon() }, ends: true,
			page: "there is no page", alerts: []string{"PollerDown", "PollerAbsent"},
			look: func(d *drill) {
				d.sh("curl -s http://127.0.0.1:8080/metrics")
				d.sh("poller check", "database.url")
			},
			doctor: "and has died; no daemon of this app lives", until: []string{"poller_build_info", "up == 1", "poller_replicas_live == 1"},
		},
		{
			what: "The program is started with a configuration that has faults",
			happen: func(s *theatre) {
				s.daemon.kill()
				s.edit("'@every 2s'", "'every other second'")
				s.edit("rate: 20", "rate: 0")
				if _, code := s.run("run"); code != 2 {
					s.t.Errorf("exit code = %d, want 2", code)
				}
			},
			over: func(s *theatre) {
				s.edit("'every other second'", "'@every 2s'")
				s.edit("rate: 0", "rate: 20")
				s.startDaemon()
			},
			ends: true,
			page: "there is no page", alerts: []string{"PollerDown", "PollerAbsent"},
			look:   func(d *drill) { d.sh("poller check", "schedule", "zim.rate") },
			doctor: "zim.rate", until: []string{"poller_build_info", "up == 1"},
		},
		{
			what: "The configuration is read again and has faults",
			happen: func(s *theatre) {
				s.edit("rate: 20", "rate: 0")
				s.reload(refused)
			},
			over: func(s *theatre) {
				s.edit("rate: 0", "rate: 20")
				s.reload("configuration reloaded: nothing has changed")
			},
			page: "that it has faults, and that the one before goes on", shows: func(b page.Board) bool { return b.ConfigRefused }, metrics: []string{"poller_config_last_reload_successful"}, alerts: []string{"PollerConfigRefused"},
			look:   func(d *drill) { d.sh("poller check", "zim.rate") },
			doctor: "zim.rate", until: []string{"poller_config_last_reload_successful == 1"},
		},
		{
			what:   "The process is killed, and its supervisor starts it again",
			happen: func(s *theatre) { s.flip(); s.daemon.kill(); s.startDaemon() }, over: func(*theatre) {},
			heals: true, page: "the time since which it runs", metrics: []string{"poller_lease_epoch", "process_start_time_seconds"},
		},
		{
			what:   "The process is stopped in order, and started again",
			happen: func(s *theatre) { s.flip(); s.daemon.stop(); s.startDaemon() }, over: func(*theatre) {},
			heals: true, page: "the time since which it runs", metrics: []string{"poller_lease_epoch", "process_start_time_seconds"},
		},
		{
			what:   "One of two replicas dies",
			happen: func(s *theatre) { s.join("POLLER_DATABASE_URL=" + s.dsn); s.second.kill() }, over: func(s *theatre) { s.part() },
			page: "one replica less", alerts: []string{"PollerDown"},
			by: func(d *drill) {
				d.startSecond("POLLER_DATABASE_URL=" + d.dsn)
				d.until("both", func() bool { return d.prometheus.holds("poller_replicas_live == 2") })
				d.part()
			},
			until: []string{"up == 1", "poller_replicas_live"},
		},
		{
			what: "Two processes poll one app, on two databases",
			happen: func(s *theatre) {
				other := localtest.Postgres(s.whole)
				if _, err := migrations.Up(s.whole.Context(), other); err != nil {
					s.t.Fatal(err)
				}
				s.join("POLLER_DATABASE_URL="+other, "POLLER_CONFIG=", fmt.Sprintf("POLLER_ZIM_APP_ID=%d", uint32(worldApp)), "POLLER_ZIM_SERVER_SECRET="+worldSecret)
			},
			over: func(s *theatre) { s.second.stop(); s.part() },
			page: "nothing, on the one that is right", alerts: []string{"PollerLeaseTwice"},
			look: func(d *drill) {
				d.sh("poller check", "database.url")
				if out := d.shell("curl -s " + d.secondAt + "/readyz"); !strings.Contains(out, "poller adopt") {
					d.t.Errorf("the stream of the wrong one is not red: %s", out)
				}
			},
			until: []string{"sum by (app) (poller_lease_held) == 1"},
		},
	}
}
