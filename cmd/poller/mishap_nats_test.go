package main

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/page"
)

// mishapsOfNATS are those of the stream, of its server and of the way there.
func mishapsOfNATS() []mishap {
	of := func(subject string) string { return fmt.Sprintf("%s/%d", subject, uint32(worldApp)) }
	return []mishap{
		{
			what: "The event stream was altered", short: true,
			happen: func(s *theatre) { s.change(func(c *jetstream.StreamConfig) { c.Subjects = []string{"elsewhere"} }) },
			over:   func(s *theatre) { s.change(func(*jetstream.StreamConfig) {}) },
			check:  of("stream"), says: "subjects of PRESENCE_", mend: "nats stream",
			page: "the check `stream`, with the command that mends it", metrics: []string{"poller_ready", `check="stream"`}, alerts: []string{"PollerStreamRefused"},
		},
		{
			what: "The event stream is full",
			happen: func(s *theatre) {
				s.change(func(c *jetstream.StreamConfig) { c.MaxMsgs = int64(s.info().State.Msgs) })
				s.flip()
			},
			over:  func(s *theatre) { s.change(func(*jetstream.StreamConfig) {}) },
			check: of("stream"), says: "stream is full", mend: "raise the limit",
			page: "the check `stream`; the lag grows", shows: func(b page.Board) bool { return appOf(b, worldApp).Lag.Events > 0 },
			metrics: []string{"poller_ready", "poller_lag_events"}, alerts: []string{"PollerStreamRefused"},
		},
		{
			what: "Somebody else writes to the event stream", short: true,
			happen: func(s *theatre) {
				if _, err := s.js.Publish(context.Background(), fmt.Sprintf("presence.v1.%d.online.mallory", uint32(worldApp)), []byte("{}")); err != nil {
					s.t.Fatal(err)
				}
			},
			over:  func(s *theatre) { s.removeLast() },
			check: of("stream"), says: "is no event of the poller", mend: "nats stream rmm PRESENCE_",
			page: "the check `stream`, with the command that mends it", metrics: []string{"poller_ready", `check="stream"`}, alerts: []string{"PollerStreamRefused"},
		},
		{
			what: "NATS is away", short: true,
			happen: func(s *theatre) { s.nats.Stop() }, over: func(s *theatre) { s.nats.Start() },
			check: "nats", says: "not connected", mend: "see that NATS runs",
			page: "the checks `nats` and `stream`; the lag grows with the next change", metrics: []string{"poller_ready", `check="nats"`}, alerts: []string{"PollerNATSAway"},
		},
		{
			what: "NATS is away for more than a minute, and users come and go",
			happen: func(s *theatre) {
				s.nats.Stop()
				s.flip()
			},
			over:  func(s *theatre) { s.nats.Start() },
			check: of("lag"), minute: true, says: "not told yet, the oldest for", mend: "see the check stream",
			page: "the lag in events and seconds", shows: func(b page.Board) bool { return appOf(b, worldApp).Lag.Seconds > 60 },
			metrics: []string{"poller_lag_seconds", `check="lag"`}, alerts: []string{"PollerNATSAway", "PollerEventsBehind"},
		},
		{
			what:   "The network to NATS swallows everything",
			happen: func(s *theatre) { s.toNATS.Stall() }, over: func(s *theatre) { s.toNATS.Resume() },
			check: "nats", says: "not connected", mend: "see that NATS runs",
			page: "the checks `nats` and `stream`", metrics: []string{"poller_ready", `check="nats"`}, alerts: []string{"PollerNATSAway"},
		},
	}
}
