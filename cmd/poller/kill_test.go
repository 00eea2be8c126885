package main

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/zimsim"
)

// kill -9 twenty times while users come and go, and a new start at once each
// time: nothing is lost, doubled or reordered, the limit holds across the
// restarts, and the next start goes on long before the lease has run out.
func TestKilledTwentyTimes(t *testing.T) {
	t.Parallel()
	const kills, ttl = 20, time.Minute
	w := newWorld(t, "POLLER_LEASE_TTL="+ttl.String())
	users := population(500)
	w.set(users)
	w.watch(keys(users)...)
	random := rand.New(rand.NewPCG(drawSeed(t), 1))
	stopFlips := w.keepFlipping(users, random.Uint64())
	daemon := w.start("run")
	var waits []time.Duration
	for range kills {
		w.until("some requests", func() bool { return w.zim.Stats().Arrivals > uint64(len(waits)) })
		<-time.After(time.Duration(random.IntN(1500)) * time.Millisecond) // the moment is drawn, nothing is waited for
		daemon.kill()
		before := w.zim.Stats().Arrivals
		restarted := time.Now()
		daemon = w.start("run")
		w.until("the next start goes on", func() bool { return w.zim.Stats().Arrivals > before })
		waits = append(waits, time.Since(restarted))
	}
	stopFlips()
	w.sweeps(2)
	daemon.stop()
	w.audit()
	w.auditIntervals(w.events(0))
	slices.Sort(waits)
	t.Logf("%d kills, %d events; going on after %s (median), %s (worst); target 3s", kills, len(w.events(0)), waits[len(waits)/2], waits[len(waits)-1])
	// The lease itself lasts a minute. The rest is for a machine that is busy with
	// other tests.
	if worst := waits[len(waits)-1]; worst >= ttl/2 {
		t.Errorf("going on after %s: the lease of a killed holder was not taken early", worst)
	}
	if flips := len(w.events(0)) - len(users); flips < kills {
		t.Errorf("%d transitions, too few to prove anything", flips)
	}
}

// keepFlipping changes a random user's state every few milliseconds, until the
// returned function is called.
func (w *world) keepFlipping(users map[string]zimsim.State, seed uint64) (stop func()) {
	ids := keys(users)
	random := rand.New(rand.NewPCG(seed, 2))
	done := make(chan struct{})
	var flipping sync.WaitGroup
	flipping.Go(func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			if _, err := w.zim.Set(ids[random.IntN(len(ids))], zimsim.State(random.IntN(3))); err != nil {
				w.t.Error(err)
				return
			}
		}
	})
	return func() {
		close(done)
		flipping.Wait()
	}
}
