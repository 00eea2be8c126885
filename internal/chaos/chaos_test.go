package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/audit"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// TestChaos does all of it; the package comment says what.
func TestChaos(t *testing.T) {
	seed := drawSeed(*chaosSeed)
	fmt.Printf("chaos for %s, seed %d: make chaos CHAOS_FOR=%s SEED=%d\n", *chaosFor, seed, *chaosFor, seed)
	w := newWorld(t)
	defer w.complain(seed)
	people := &crowd{w: w, users: population(*chaosFor), random: rand.New(rand.NewPCG(seed, 2))}
	people.settle()
	subscribers, stopSubscribers := w.subscribe()
	defer stopSubscribers()
	for _, d := range w.daemons {
		d.start()
	}
	if !w.swept() {
		return
	}
	lasted := w.live(people, draw(seed, *chaosFor))

	t.Logf("the faults are over; waiting until everybody is seen as they are, and everything is told")
	sound := w.swept() && w.told(subscribers)
	for _, d := range w.daemons {
		d.stop(syscall.SIGTERM)
	}
	stopSubscribers()
	table := table{seed: seed, lasted: lasted, crowd: people, sound: sound}
	for app := range uint32(apps) {
		table.rows = append(table.rows, w.audit(app+1, subscribers[app], sound))
	}
	t.Log(w.print(table))
}

// live lets the plan strike while users come and go and takeovers are watched,
// and returns how long that was.
func (w *world) live(people *crowd, plan []fault) time.Duration {
	ctx, still := context.WithCancel(w.t.Context())
	var living sync.WaitGroup
	living.Go(func() { w.watch(ctx) })
	living.Go(func() { people.live(ctx) })
	begun := time.Now()
	w.strike(plan, *chaosFor)
	lasted := time.Since(begun)
	still()
	living.Wait()
	w.measuring.Wait()
	return lasted
}

// population is how many users each app has.
func population(length time.Duration) int {
	if length > 2*time.Minute {
		return 3000
	}
	return 1000
}

// subscribe starts a subscriber for each app.
func (w *world) subscribe() (all []*subscriber, stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	for app := range uint32(w.apps) {
		s := &subscriber{app: app + 1}
		all = append(all, s)
		running.Go(func() { s.run(ctx, w.natsURL) })
	}
	return all, func() {
		cancel()
		running.Wait()
	}
}

// swept waits until every app has been swept twice from now on without a miss.
func (w *world) swept() bool {
	since := time.Now()
	for app := range w.apps {
		if !w.until(fmt.Sprintf("two more complete sweeps of app %d", app+1), func() bool {
			return w.count(`
				select count(*) from snapshots s
				 where s.app_id = $1 and s.started >= $2 and s.missed_count = 0`, app+1, since) >= 2
		}) {
			return false
		}
	}
	return true
}

// told waits until the streams and the subscribers have what the ledgers have.
func (w *world) told(subscribers []*subscriber) bool {
	for app, s := range subscribers {
		if !w.until(fmt.Sprintf("all of app %d is told", app+1), func() bool {
			return s.heard.Load() == w.count(`select last_seq from apps where app_id = $1`, app+1)
		}) {
			return false
		}
	}
	return true
}

// audit proves everything about one app. What has not come to rest is not waited
// for any longer.
func (w *world) audit(app uint32, s *subscriber, sound bool) row {
	patience := time.Duration(0)
	if sound {
		patience = time.Minute
	}
	truth, err := w.zim.truth(app)
	if err != nil {
		w.t.Fatal(err)
	}
	changes, slack, err := w.zim.changes(app)
	if err != nil {
		w.t.Fatal(err)
	}
	report, err := audit.Audit{
		DB: w.pool, JS: w.js, App: app, Patience: patience, Slack: slack,
		Changes: func(user string) []audit.Change { return changes[user] },
		Truth:   func(user string) (presence.Status, presence.Detail, bool) { return standing(truth[user]) },
	}.Run(w.t.Context())
	if err != nil {
		w.t.Error(err)
	}
	r := row{report: report, subscriber: s, sweeps: w.count(`select count(*) from snapshots where app_id = $1`, app)}
	stats, err := w.zim.stats(app)
	if err != nil || stats.RepeatedNonces != 0 {
		w.t.Errorf("app %d: %d nonces were used twice, %v", app, stats.RepeatedNonces, err)
	}
	for _, f := range append(report.Findings, w.auditBudget(app, &r)...) {
		w.t.Error(f)
	}
	for _, f := range s.findings[:min(10, len(s.findings))] {
		w.t.Error(f)
	}
	return r
}

// standing is a state in the poller's words; everybody's is known.
func standing(s zimsim.State) (presence.Status, presence.Detail, bool) {
	switch s {
	case zimsim.Online:
		return presence.Online, presence.NoDetail, true
	case zimsim.Timeout:
		return presence.Offline, presence.Timeout, true
	default:
		return presence.Offline, presence.NoSession, true
	}
}

// auditBudget holds the requests that left the daemons against the limit.
func (w *world) auditBudget(app uint32, r *row) []audit.Finding {
	arrivals, err := w.zim.arrivals(app, -1, time.Time{})
	if err != nil {
		w.t.Fatal(err)
	}
	times := make([]time.Duration, len(arrivals))
	for i, a := range arrivals {
		times[i] = a.At
	}
	most, findings := audit.Arrivals(app, times, rate, time.Second)
	r.requests, r.most, r.over = len(times), most, len(findings)
	for i := range findings {
		last, err := strconv.Atoi(findings[i].Key)
		if err != nil {
			continue
		}
		for _, a := range arrivals[max(0, last-rate-1):min(len(arrivals), last+2)] {
			findings[i].Text += fmt.Sprintf("\n\t%s by daemon %d", (a.At - times[last]).Round(time.Microsecond), a.Daemon)
		}
	}
	return findings
}

// complain says at the end of a failed run how to repeat it, and what the
// daemons said last.
func (w *world) complain(seed uint64) {
	w.complainOf("make chaos CHAOS_FOR=" + chaosFor.String() + " SEED=" + strconv.FormatUint(seed, 10))
}

// complainOf is complain for what is repeated by a certain command. A data race
// or a panic is a failure.
func (w *world) complainOf(again string) {
	for _, d := range w.daemons {
		if blame := blamed(d.log()); blame != "" {
			w.t.Errorf("daemon %d: %s", d.n, blame)
		}
	}
	if !w.t.Failed() {
		return
	}
	w.t.Logf("the same faults again: %s", again)
	for _, d := range w.daemons {
		w.t.Logf("daemon %d said last:\n%s", d.n, lastLines(d.log(), 40))
	}
}
