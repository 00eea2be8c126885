package main

import (
	"fmt"
	"testing"

	"github.com/zim-presence/poller/internal/zimsim"
)

// BenchmarkPlan holds what poller plan says against what the program does, as a
// process, at the usual rate: how long a sweep of 10,000 users takes, and, back to
// back, how long it is from one to the next. It takes a minute.
func BenchmarkPlan(b *testing.B) {
	const users = 10_000
	w := newWorld(b, "POLLER_SCHEDULE=@every 8s")
	states := map[string]zimsim.State{}
	for i := range users {
		states[fmt.Sprintf("user-%015d", i)] = zimsim.State(i % 3)
	}
	w.set(states)
	w.watch(keys(states)...)
	first := w.start("run")
	w.until("the baselines are told", func() bool { return w.toldAll(users) })
	w.sweeps(1)
	first.stop()
	for b.Loop() {
		for _, c := range []struct {
			schedule string
			sweeps   int
		}{{"@every 8s", 4}, {"@every 1s", 6}} {
			w.env = append(w.env, "POLLER_SCHEDULE="+c.schedule)
			newest := w.count(`select max(sweep) from snapshots`)
			daemon := w.start("run")
			w.sweeps(c.sweeps)
			daemon.stop()
			// Not the first, which waits for the budget of the daemon before.
			took := w.float(`select avg(extract(epoch from finished - started)) from snapshots where sweep > $1`, newest+1)
			apart := w.float(`select extract(epoch from max(started) - min(started)) / (count(*) - 1) from snapshots where sweep > $1`, newest+1)
			var r planReport
			planJSON(b, &r, w.env, "--latency", "5ms")
			b.ReportMetric(took/r.Sweep, "sweep/plan,"+c.schedule[7:]+"(target=0.9..1.1)")
			b.ReportMetric(apart/r.Between.Mean, "between/plan,"+c.schedule[7:]+"(target=0.9..1.1)")
			b.ReportMetric(took, "s/sweep,"+c.schedule[7:])
		}
	}
}
