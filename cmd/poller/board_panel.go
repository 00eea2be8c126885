package main

import (
	"sync"
	"time"

	"github.com/zim-presence/poller/internal/page"
	"github.com/zim-presence/poller/internal/poll"
	"github.com/zim-presence/poller/presence"
)

// panel keeps what the status page shows of an app, as its rooms tell it. It is written to at each answer and each event,
// so nothing here takes longer than a few numbers do. Its zero value shows nothing.
type panel struct {
	live *page.Live // hears of each event that was told; nil: nobody looks

	mu       sync.Mutex // guards all below
	schedule string
	setting  float64 // requests a second, as configured

	// Of the term; empty between terms.
	since    time.Time        // when the lease was taken
	due      func() time.Time // the next sweep; nil before the recorder is there
	running  *poll.Report     // its map belongs to the sweep, and is not looked at
	missed   int              // of running
	listed   time.Time        // when running knew whom it asks about
	last     *page.Sweep
	covered  float32 // share of the watched whom the newest complete sweep saw; [page.Gap] before
	invalid  int     // ids on the watchlist that are never asked about
	held     int
	gated    int
	untold   int64     // events that the stream lacks
	oldest   time.Time // of them
	delay    *float64  // of the newest event that was told
	unseeded bool      // nobody has looked for what was before the term

	// Of the step of the history that runs.
	moved   int     // online and offline events that were told
	slowest float32 // delay; [page.Gap] for none
	step    spentAt // its beginning; zero at the beginning of a term
}

// configured says how often the app is swept, and at which rate it is asked about.
func (p *panel) configured(schedule string, rate float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.schedule, p.setting = schedule, rate
}

// begin begins a term.
func (p *panel) begin(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.since, p.unseeded = now, true
}

// over ends it: what was known, another may know better now, or have been told to erase.
func (p *panel) over(app uint32) {
	p.mu.Lock()
	p.clear()
	p.mu.Unlock()
	if p.live != nil {
		p.live.Forget(app)
	}
}

// clear wants the lock.
func (p *panel) clear() {
	p.since, p.due, p.running, p.missed, p.listed, p.last = time.Time{}, nil, nil, 0, time.Time{}, nil
	p.covered, p.held, p.gated, p.untold, p.oldest, p.delay, p.unseeded = page.Gap(), 0, 0, 0, time.Time{}, nil, false
	p.invalid, p.moved, p.slowest, p.step = 0, 0, page.Gap(), spentAt{}
}

// sweeps says who knows when the next sweep is due.
func (p *panel) sweeps(due func() time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due = due
}

// moves shows how far a sweep is.
func (p *panel) moves(r poll.Report) {
	missed := r.MissedTotal()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		p.listed = time.Now()
	}
	r.Missed = nil
	p.running, p.missed, p.invalid = &r, missed, r.Invalid
}

// swept shows how a sweep has ended.
func (p *panel) swept(r poll.Report, err error) {
	s := newSweepShown(&r, r.MissedTotal())
	s.Finished, s.Complete = &r.Finished, r.Complete
	switch {
	case err != nil:
		s.Failure = err.Error()
	case r.Failure != nil:
		s.Failure = r.Failure.Error()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running, p.last = nil, s
	if r.Complete && r.Watched > 0 {
		p.covered = float32(r.Seen) / float32(r.Watched)
	}
}

// skips shows that due times went by while the newest sweep ran.
func (p *panel) skips(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil {
		last := *p.last // which somebody may be looking at
		last.Skipped = n
		p.last = &last
	}
}

// waits shows how many changes wait to be confirmed, doubts how many users are not believed to be offline.
func (p *panel) waits(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = n
}

func (p *panel) doubts(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gated = n
}

// told shows an event that the stream has just taken, and how many more there are.
func (p *panel) told(e *presence.Event, more int64) {
	known := e.KnownAt()
	took := max(0, time.Since(known))
	delay := took.Seconds()
	p.mu.Lock()
	p.delay = &delay
	if !(float32(delay) <= p.slowest) { // which may be a gap
		p.slowest = float32(delay)
	}
	if e.Kind == presence.KindOnline || e.Kind == presence.KindOffline {
		p.moved++
	}
	if p.oldest.Before(known) {
		p.oldest = known
	}
	if p.untold = more; more == 0 {
		p.oldest = time.Time{}
	}
	p.mu.Unlock()
	if p.live != nil {
		p.live.Put(e, took)
	}
}

// behind shows what the stream lacks.
func (p *panel) behind(events int64, oldest time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.untold, p.oldest = events, oldest
}

// newSweepShown is a sweep that runs, as the page shows it.
func newSweepShown(r *poll.Report, missed int) *page.Sweep {
	return &page.Sweep{
		Number: r.Sweep, Started: r.Started, Watched: r.Watched, Seen: r.Seen, Missed: missed,
		Transitions: r.Transitions, Requests: r.Requests,
	}
}
