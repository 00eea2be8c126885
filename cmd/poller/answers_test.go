package main

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
)

// What is known of ZIM is shown: that the clocks differ, that the rate is too high,
// that nothing is answered, and each time that it is over. None of it is an event.
func TestWhatIsKnownOfZIM(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_ZIM_TIMEOUT=2s", "POLLER_HTTP_LISTEN=127.0.0.1:0")
	users := population(1500)
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")
	w.newEvents(0, len(users))

	w.sim.SetSkew(-94 * time.Second) // ours is ahead
	w.until("the clocks are found to differ", func() bool { return math.Abs(w.metric(daemon, "poller_zim_clock_skew_seconds")-94) < 10 })
	w.until("the warning", func() bool {
		return daemon.logged("this machine's clock and ZIM's differ; event times are by this one, and ZIM refuses every request from ten minutes on: set this machine's clock") == 1
	})
	w.sim.SetSkew(0)
	w.until("the clocks agree", func() bool { return math.Abs(w.metric(daemon, "poller_zim_clock_skew_seconds")) < 10 })

	const tooMany = "ZIM says that there are too many requests; fewer are sent until it takes more"
	if err := w.sim.AddFaults(zimsim.Fault{Kind: zimsim.Code, Code: 7, Count: 30}); err != nil {
		t.Fatal(err)
	}
	w.until("the rate is lowered", func() bool { return daemon.logged(tooMany) == 1 && w.metric(daemon, "poller_budget_rate") < 15 })
	w.sim.ClearFaults()

	if err := w.sim.AddFaults(zimsim.Fault{Kind: zimsim.HTTPError, Status: 503}); err != nil {
		t.Fatal(err)
	}
	w.until("it is found out that ZIM does not answer", func() bool {
		_, red := daemon.ready()
		return w.metric(daemon, "poller_breaker_open") == 1 && strings.Contains(red[fmt.Sprint("zim/", worldApp)], "ZIM does not answer since ")
	})
	from, alice := "--from="+daemon.field("http listens", "addr"), keys(users)[2]
	if said := strings.Join(w.explain(alice, from).Summary, "\n"); !strings.Contains(said, fmt.Sprintf("The check zim/%d of that daemon is red: ZIM does not answer since ", uint32(worldApp))) {
		t.Errorf("poller explain in an outage: %s", said)
	}
	asked := w.zim.Stats().Arrivals
	w.set(map[string]zimsim.State{keys(users)[0]: zimsim.Online, keys(users)[1]: zimsim.LoggedOut})
	w.until("a few probes", func() bool { return w.zim.Stats().Arrivals >= asked+2 })
	w.sim.ClearFaults()
	w.until("ZIM answers", func() bool { return w.metric(daemon, "poller_breaker_open") == 0 })
	w.untilReady(daemon)
	if r := w.explain(alice, from); r.Daemon.Story == nil || r.Daemon.Story.Trouble != "" {
		t.Errorf("poller explain behind an outage: %+v", r.Daemon)
	}
	if a, b := daemon.logged("ZIM does not answer; one request at a time goes until it does"), daemon.logged("ZIM answers again"); a != b || a < 1 {
		t.Errorf("%d lines that it does not answer, %d that it does again; want as many, one each time", a, b)
	}
	w.sweeps(1)
	daemon.stop()
	w.audit()
	w.auditIntervals(w.events(0))
}
