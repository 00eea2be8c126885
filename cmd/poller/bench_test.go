package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
)

// BenchmarkWholeProgram runs the program as a process, with the limit lifted,
// against a simulated ZIM, a Postgres and a NATS server on the same machine, and
// prints what an unchanged user costs it. It takes most of a minute.
func BenchmarkWholeProgram(b *testing.B) {
	const users = 200_000
	w := newWorld(b, "POLLER_ZIM_RATE=10000", "POLLER_SCHEDULE=@every 3s", "POLLER_HTTP_LISTEN=127.0.0.1:0")
	w.zim.SetRate(-1)
	empty := w.start("run")
	w.until("the empty daemon listens", func() bool { return empty.field("http listens", "addr") != "" })
	emptyHeap := w.heap(empty)
	empty.stop()

	states := map[string]zimsim.State{}
	for i := range users {
		states[fmt.Sprintf("user-%015d", i)] = zimsim.State(i % 3)
	}
	w.set(states)
	w.watch(keys(states)...)
	clear(states)
	first := w.start("run")
	w.until("the baselines are told", func() bool { return w.toldAll(users) })
	w.sweeps(1)
	first.stop() // the sessions' end brings Postgres's counts up to date

	for b.Loop() {
		writes, snapshots := w.rowsWritten(), w.count(`select count(*) from snapshots`)
		daemon := w.start("run")
		swept := func(n int) { w.until("sweeps", func() bool { return daemon.logged("sweep ended") >= n }) }
		swept(2)
		cpu, since := daemon.cpu(b), time.Now()
		swept(7)
		used := daemon.cpu(b) - cpu
		took := w.float(`select avg(extract(epoch from finished - started)) from snapshots where started >= $1`, since)
		heap := w.heap(daemon) - emptyHeap
		daemon.stop()
		snapshots = w.count(`select count(*) from snapshots`) - snapshots
		b.ReportMetric(float64(used.Microseconds())/float64(users*5), "cpu-µs/user(target<3)")
		b.ReportMetric(users/took, "users/s(target>100000)")
		b.ReportMetric(float64(w.rowsWritten()-writes)/float64(snapshots), "rows/sweep(target=1)")
		b.ReportMetric(heap/users, "heap-B/user(target<150)")
	}
}

// BenchmarkDelay prints how long an event takes from the reading of its answer
// to its acknowledgement by JetStream, at 100 transitions a second.
func BenchmarkDelay(b *testing.B) {
	const users = 2000
	w := newWorld(b, "POLLER_HTTP_LISTEN=127.0.0.1:0")
	states := map[string]zimsim.State{}
	for i := range users {
		states[fmt.Sprintf("user-%05d", i)] = zimsim.State(i % 2 * 2)
	}
	w.set(states)
	w.watch(keys(states)...)
	daemon := w.start("run")
	w.until("the baselines are told", func() bool { return w.toldAll(users) })
	for b.Loop() {
		all, fast := w.metric(daemon, `poller_event_delay_seconds_count`), w.metric(daemon, `poller_event_delay_seconds_bucket{le="0.1"}`)
		start := time.Now()
		ids := keys(states)
		ticker := time.NewTicker(10 * time.Millisecond)
		for i := 0; time.Since(start) < 30*time.Second; i++ {
			<-ticker.C
			id := ids[i%users]
			states[id] = 2 - states[id]
			w.set(map[string]zimsim.State{id: states[id]})
		}
		ticker.Stop()
		all, fast = w.metric(daemon, `poller_event_delay_seconds_count`)-all, w.metric(daemon, `poller_event_delay_seconds_bucket{le="0.1"}`)-fast
		b.ReportMetric(all/time.Since(start).Seconds(), "events/s")
		b.ReportMetric(100*fast/all, "%-under-100ms(target>99)")
	}
	daemon.stop()
}

func (w *world) toldAll(n int) bool {
	return w.count(`select coalesce(max(told_seq), 0) from relay_cursors where app_id = $1`, worldApp) >= n
}

func (w *world) float(sql string, args ...any) (f float64) {
	w.t.Helper()
	if err := w.pool.QueryRow(w.t.Context(), sql, args...).Scan(&f); err != nil {
		w.t.Fatal(err)
	}
	return f
}

// rowsWritten counts what all programs have written to the tables, aside from
// the renewals of leases and replicas, which come by the clock, and the relay's
// cursor, which is written once a start.
func (w *world) rowsWritten() int {
	return w.count(`
		select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)
		  from pg_stat_user_tables
		 where relname not in ('apps', 'replicas', 'relay_cursors')`)
}

// metric reads one value of the program's metrics, 0 when it is not there yet.
// Labels other than those given are not looked at.
func (w *world) metric(p *process, name string) float64 {
	w.t.Helper()
	addr := p.field("http listens", "addr")
	if addr == "" {
		return 0
	}
	resp, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	name, label, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{")
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if base, _, _ := strings.Cut(key, "{"); base == name && strings.Contains(key, label) {
			f, err := strconv.ParseFloat(value, 64)
			if err != nil {
				w.t.Fatal(err)
			}
			return f
		}
	}
	return 0
}

// heap is what the program holds at rest, in bytes: between two sweeps, and
// without its garbage.
func (w *world) heap(p *process) float64 {
	w.t.Helper()
	swept := p.logged("sweep ended")
	w.until("the end of a sweep", func() bool { return p.logged("sweep ended") > swept })
	before := w.metric(p, "go_gc_duration_seconds_count")
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		w.t.Fatal(err)
	}
	w.until("the garbage is collected", func() bool { return w.metric(p, "go_gc_duration_seconds_count") > before })
	return w.metric(p, "go_gc_heap_live_bytes")
}

// cpu is the processor time that the program has used.
func (p *process) cpu(b *testing.B) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	const ticksPerSecond = 100 // of every Linux that Go runs on
	return time.Duration(ticks) * time.Second / ticksPerSecond
}
