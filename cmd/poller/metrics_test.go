package main

import (
	"math"
	"testing"

	"github.com/zim-presence/poller/internal/zimsim"
)

// What the holder of the lease knows is in its metrics, and not in those of a standby, which sees who holds it;
// when the lease has gone over, so has that.
func TestMetricsOfHolderAndStandby(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0")
	population := map[string]zimsim.State{"a": zimsim.Online, "b": zimsim.Online, "c": zimsim.LoggedOut}
	w.set(population)
	w.watch(keys(population)...)
	holder := w.start("run")
	w.sweeps(2)
	standby := w.start("run")
	known := func(p *process) bool {
		return w.metric(p, `poller_users{status="online"}`) == 2 && w.metric(p, `poller_users{status="offline"}`) == 1 &&
			w.metric(p, `poller_answer_age_users{under="+Inf"}`) == 3 && w.metric(p, "poller_coverage_ratio") == 1 &&
			w.metric(p, `poller_answer_age_seconds{rank="oldest"}`) > 0 && w.metric(p, "poller_schedule_interval_seconds") > 0
	}
	unknown := func(p *process) bool {
		return w.metric(p, `poller_users{status="online"}`) == 0 && w.metric(p, `poller_answer_age_users{under="+Inf"}`) == 0 &&
			math.IsNaN(w.metric(p, "poller_coverage_ratio")) && math.IsNaN(w.metric(p, `poller_answer_age_seconds{rank="oldest"}`))
	}
	epoch := func(p *process) float64 { return w.metric(p, "poller_lease_epoch") }
	w.until("the holder knows", func() bool { return known(holder) })
	w.until("the standby sees the holder", func() bool {
		return w.metric(standby, `poller_lease_state{state="standby"}`) == 1 && w.metric(standby, "poller_replicas_live") == 2
	})
	if !unknown(standby) || epoch(standby) != epoch(holder) || epoch(holder) == 0 {
		t.Errorf("the standby knows what it cannot, or epoch %v, want %v", epoch(standby), epoch(holder))
	}
	for _, name := range []string{
		`poller_lease_state{state="held"}`, "poller_ready", `poller_check_ok{check="postgres"}`, "poller_publish_duration_seconds_count",
		"poller_budget_wait_seconds_total", "poller_budget_limit",
	} {
		if w.metric(holder, name) <= 0 {
			t.Errorf("%s of the holder is %v, want more", name, w.metric(holder, name))
		}
	}
	before := epoch(holder)
	holder.stop()
	w.until("the standby has taken over, and knows", func() bool {
		return w.metric(standby, `poller_lease_state{state="held"}`) == 1 && known(standby) && epoch(standby) > before
	})
}
