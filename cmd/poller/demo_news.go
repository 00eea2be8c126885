package main

import (
	"sync"
	"time"

	"github.com/zim-presence/poller/internal/poll"
	"github.com/zim-presence/poller/presence"
)

// news is what there is to show: how things stand, and what has happened since
// the last news.
type news struct {
	Step   string // what is being put up; empty when all is
	Bill   bill   // the zero value until everything is up
	Sweep  sweepNews
	Sweeps int // complete so far
	Budget budgetNews
	Told   toldNews

	// Since the last news, oldest first.
	Ended    []sweepNews
	Heard    []heardEvent
	Unshown  int // events beyond those in Heard
	Warnings []string
}

// sweepNews is the sweep that runs, or the last one that did.
type sweepNews struct {
	Number                                              int64
	Watched, Seen, Missed, Added, Transitions, Requests int
	Started, Finished                                   time.Time // Finished is zero while it runs
	Complete                                            bool
}

// budgetNews is what the simulated ZIM has in its books.
type budgetNews struct {
	Requests   uint64
	LastSecond int
	Most       int   // in any second so far
	Minute     []int // requests a second, the present one last
}

// toldNews is what the subscriber has heard.
type toldNews struct {
	Events          [presence.KindStale + 1]int // by kind
	Online, Offline int                         // users, as the events say
	Seq             int64                       // the newest heard
	Recorded        int64                       // the newest in the ledger, as of lately
	Delay           time.Duration               // from the answer to the subscriber, of the newest
}

// Lag is how many events the subscriber has yet to hear.
func (t toldNews) Lag() int64 { return max(0, t.Recorded-t.Seq) }

// heardEvent is an event and when the subscriber got it.
type heardEvent struct {
	presence.Event
	At time.Time
}

// mostHeard bounds the events that wait for a terminal that stands still.
const mostHeard = 2000

// newsroom gathers news. Its methods may be called from any goroutine and do not
// wait for whoever shows the news.
type newsroom struct {
	mu   sync.Mutex
	next news
}

func (r *newsroom) edit(f func(n *news)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.next)
}

func (r *newsroom) step(what string) { r.edit(func(n *news) { n.Step = what }) }

func (r *newsroom) opened(b bill) {
	r.edit(func(n *news) { n.Bill, n.Step = b, "" })
}

func (r *newsroom) warned(line string) {
	const most = 100
	r.edit(func(n *news) {
		if len(n.Warnings) < most {
			n.Warnings = append(n.Warnings, line)
		}
	})
}

func (r *newsroom) spent(b budgetNews) { r.edit(func(n *news) { n.Budget = b }) }

func (r *newsroom) recorded(seq int64) { r.edit(func(n *news) { n.Told.Recorded = seq }) }

// swept takes a report, whose map is not kept: it goes on changing.
func (r *newsroom) swept(p poll.Report) {
	s := sweepNews{
		Number: p.Sweep, Watched: p.Watched, Seen: p.Seen, Missed: p.MissedTotal(), Added: p.Added,
		Transitions: p.Transitions, Requests: p.Requests, Started: p.Started, Finished: p.Finished, Complete: p.Complete,
	}
	r.edit(func(n *news) {
		n.Sweep = s
		if s.Finished.IsZero() {
			return
		}
		n.Ended = append(n.Ended, s)
		if s.Complete {
			n.Sweeps++
		}
	})
}

// heard takes an event that the subscriber has got.
func (r *newsroom) heard(e presence.Event, at time.Time) {
	r.edit(func(n *news) {
		t := &n.Told
		t.Events[e.Kind]++
		t.Online += change(e.From, e.To, presence.Online)
		t.Offline += change(e.From, e.To, presence.Offline)
		t.Seq, t.Delay = e.Seq, at.Sub(e.ObservedAt)
		if len(n.Heard) == mostHeard {
			n.Heard = n.Heard[1:]
			n.Unshown++
		}
		n.Heard = append(n.Heard, heardEvent{e, at})
	})
}

// change is how many more users have a status after one went from from to to.
func change(from, to, status presence.Status) int {
	switch {
	case from == to:
		return 0
	case to == status:
		return 1
	case from == status:
		return -1
	}
	return 0
}

// take returns the news, and begins the next.
func (r *newsroom) take() news {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.next
	r.next.Ended, r.next.Heard, r.next.Unshown, r.next.Warnings = nil, nil, 0, nil
	return n
}

// deliver shows the news at intervals, in a goroutine of its own. stop shows
// them a last time and returns when they have been.
func (r *newsroom) deliver(every time.Duration, show func(news)) (stop func()) {
	stopped := make(chan struct{})
	var showing sync.WaitGroup
	showing.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				show(r.take())
			case <-stopped:
				show(r.take())
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		close(stopped)
		showing.Wait()
	})
}
