package main

import (
	"context"
	"fmt"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/page"
)

// mishapsOfNATS are those of the stream, of its server and of the way there.
func mishapsOfNATS() []mishap {
	of := func(subject string) string { return fmt.Sprintf("%s/%d", subject, uint32(worldApp)) }
	told := []string{"sum(poller_lag_events) == 0"}
	const info = "nats stream info PRESENCE_1234567890"
	return []mishap{
		{
			what: "The event stream was altered", short: true,
			happen: func(s *theatre) { s.change(func(c *jetstream.StreamConfig) { c.Subjects = []string{"elsewhere"} }) },
			over:   func(s *theatre) { s.change(func(*jetstream.StreamConfig) {}) },
			check:  of("stream"), says: "subjects of PRESENCE_", mend: "nats stream",
			page: "the check `stream`, with the command that mends it", metrics: []string{"poller_ready", `check="stream"`}, alerts: []string{"PollerStreamRefused"},
			doctor: "must take every event", look: func(d *drill) { d.sh(info, "elsewhere") },
			by: func(d *drill) { d.mend("presence.v1.") }, until: told,
		},
		{
			what: "The event stream is full",
			happen: func(s *theatre) {
				s.change(func(c *jetstream.StreamConfig) { c.MaxMsgs = int64(s.info().State.Msgs) })
				s.flip()
			},
			over:  func(s *theatre) { s.change(func(*jetstream.StreamConfig) {}) },
			check: of("stream"), says: "stream is full", mend: "nats stream edit PRESENCE_",
			page: "the check `stream`; the lag grows", shows: func(b page.Board) bool { return appOf(b, worldApp).Lag.Events > 0 },
			metrics: []string{"poller_ready", "poller_lag_events"}, alerts: []string{"PollerStreamRefused"},
			doctor: "is full", look: func(d *drill) { d.sh(info, "Maximum Messages", "Messages:") },
			by: func(d *drill) { d.mend("unlimited") }, until: told,
		},
		{
			what: "Somebody else writes to the event stream", short: true,
			happen: func(s *theatre) {
				s.publish(&nats.Msg{Subject: fmt.Sprintf("presence.v1.%d.online.mallory", uint32(worldApp)), Data: []byte("{}")})
			},
			over:  func(s *theatre) { s.removeLast() },
			check: of("stream"), says: "is no event of the poller", mend: "nats stream rmm PRESENCE_",
			page: "the check `stream`, with the commands that mend it", metrics: []string{"poller_ready", `check="stream"`}, alerts: []string{"PollerStreamRefused"},
			doctor: "somebody else writes", by: func(d *drill) { d.mendBoth() }, until: told,
		},
		{
			what:   "Somebody else publishes an old event again",
			happen: func(s *theatre) { s.publishAgain() }, over: func(s *theatre) { s.removeLast() },
			check: of("stream"), says: "is a copy of event", mend: "nats stream rmm PRESENCE_",
			page: "the check `stream`, with the commands that mend it", metrics: []string{"poller_ready", `check="stream"`}, alerts: []string{"PollerStreamRefused"},
			doctor: "somebody else writes", by: func(d *drill) { d.mendBoth(); d.restart() }, until: told,
		},
		{
			what:   "The event stream was deleted",
			happen: func(s *theatre) { s.deleteStream(); s.flip() }, over: func(*theatre) {},
			heals: true, page: "nothing: within seconds it is made anew, and goes on where the old one was", metrics: []string{"poller_told_events_total"},
		},
		{
			what:   "The end of the event stream is lost: the disk of NATS was restored to an older state",
			happen: func(s *theatre) { s.rollBack() }, over: func(*theatre) {},
			heals: true, page: "nothing: within seconds what is missing is published again, the same", metrics: []string{"poller_told_events_total"},
		},
		{
			what: "NATS is away", short: true,
			happen: func(s *theatre) { s.nats.Stop() }, over: func(s *theatre) { s.nats.Start() },
			check: "nats", says: "not connected", mend: "see that NATS runs",
			page: "the checks `nats` and `stream`; the lag grows with the next change", metrics: []string{"poller_ready", `check="nats"`}, alerts: []string{"PollerNATSAway"},
			doctor: "see that NATS runs and is reached from here", until: told,
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
			doctor: "see that NATS runs and is reached from here", look: func(d *drill) { d.logs("cannot tell") }, until: append(told, "max(poller_lag_seconds) == 0"),
		},
		{
			what:   "The network to NATS swallows everything",
			happen: func(s *theatre) { s.toNATS.Stall() }, over: func(s *theatre) { s.toNATS.Resume() },
			check: "nats", says: "not connected", mend: "see that NATS runs",
			page: "the checks `nats` and `stream`", metrics: []string{"poller_ready", `check="nats"`}, alerts: []string{"PollerNATSAway"},
			doctor: "see that NATS runs and is reached from here", until: told,
		},
	}
}

func (s *theatre) publish(m *nats.Msg) {
	s.t.Helper()
	if _, err := s.js.PublishMsg(context.Background(), m); err != nil {
		s.t.Fatal(err)
	}
}

// publishAgain publishes the stream's oldest event once more, but for the id by which
// the server would know it.
func (s *theatre) publishAgain() {
	s.t.Helper()
	stream, err := s.js.Stream(context.Background(), badStreamName)
	if err != nil {
		s.t.Fatal(err)
	}
	old, err := stream.GetMsg(context.Background(), stream.CachedInfo().State.FirstSeq)
	if err != nil {
		s.t.Fatal(err)
	}
	for name := range old.Header {
		if len(name) > 5 && name[:5] == "Nats-" {
			delete(old.Header, name)
		}
	}
	s.publish(&nats.Msg{Subject: old.Subject, Header: old.Header, Data: old.Data})
}

func (s *theatre) deleteStream() {
	s.t.Helper()
	if err := s.js.DeleteStream(context.Background(), badStreamName); err != nil {
		s.t.Fatal(err)
	}
}

// rollBack has users come and go, and puts the disk of NATS back to what it was before.
func (s *theatre) rollBack() {
	s.t.Helper()
	old := s.whole.TempDir()
	s.nats.Stop()
	err := os.CopyFS(old, os.DirFS(s.nats.StoreDir()))
	s.nats.Start()
	s.flip()
	s.untilTold()
	s.nats.Stop()
	if err == nil {
		err = os.RemoveAll(s.nats.StoreDir())
	}
	if err == nil {
		err = os.CopyFS(s.nats.StoreDir(), os.DirFS(old))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.nats.Start()
	s.untilReady(s.daemon)
}

// mendBoth runs the two commands in the mend of the red check: what stands in the stream
// is in the bucket, too, under the user's key, and that asks on a terminal.
func (d *drill) mendBoth() {
	d.t.Helper()
	d.mend("")
	both := command.FindAllString(d.red.Mend, -1)
	if len(both) != 2 {
		d.t.Fatalf("the mend %q has not two commands", d.red.Mend)
	}
	d.terminal(both[1]+" -f", "Really operate on the KV stream?", "Purged 1 messages")
}
