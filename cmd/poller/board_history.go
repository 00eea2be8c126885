package main

import (
	"context"
	"sync"
	"time"

	"github.com/zim-presence/poller/internal/page"
)

// seedWithin bounds the look for what was before a term; seedAgain is when it is tried again.
const (
	seedWithin = 5 * time.Second
	seedAgain  = time.Minute
)

// keepHistories takes a sample of each app that is polled here at the end of each step, until ctx ends, and fills in what
// the database still knows of the hours before.
func (p *parts) keepHistories(ctx context.Context) {
	var seeding sync.WaitGroup
	defer seeding.Wait()
	seeding.Go(func() { p.seedHistories(ctx) })
	for {
		now := time.Now()
		next := now.Truncate(lookAgain).Add(lookAgain)
		timer := time.NewTimer(next.Sub(now))
		select {
		case <-timer.C:
			p.sample(next, next.Unix()%int64(page.Step/time.Second) == 0)
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// sample looks at the budgets, and at the end of a step of the histories at everything.
func (p *parts) sample(now time.Time, step bool) {
	all := p.apps.all()
	here := map[uint32]bool{}
	for _, a := range all {
		here[a.id] = true
		slots := a.budget.Spent()
		a.spent.look(now, slots)
		if step && a.held() {
			p.lookout.histories.Add(a.id, now, a.sample(now, slots))
		}
	}
	if step {
		p.lookout.histories.Keep(func(app uint32) bool { return here[app] })
	}
}

// sample is the step that has just ended.
func (a *app) sample(now time.Time, spent uint64) page.Sample {
	s := page.Nothing()
	if c := a.census.Load(); c != nil {
		s.Online, s.Offline, s.Unknown = float32(c.Online), float32(c.Offline), float32(c.Unknown)
	}
	a.panel.sample(&s, now, spent)
	return s
}

// sample adds what the panel has, and begins the next step.
func (p *panel) sample(to *page.Sample, now time.Time, spent uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() {
		return
	}
	to.Coverage, to.Delay, to.Lag = p.covered, p.slowest, float32(p.untold)
	if before := p.step; !before.at.IsZero() && now.After(before.at) {
		took := now.Sub(before.at)
		to.PerMin = float32(float64(p.moved) / took.Minutes())
		to.Budget = float32(min(1, float64(spent-before.slots)/took.Seconds()/slots(p.setting)))
	}
	p.moved, p.slowest, p.step = 0, page.Gap(), spentAt{now, spent}
}

// seedHistories looks for what was before each term, one app at a time.
func (p *parts) seedHistories(ctx context.Context) {
	pause := newPause()
	for ctx.Err() == nil {
		for _, a := range p.apps.all() {
			if !a.panel.wantsSeed() {
				continue
			}
			if err := p.seed(ctx, a); err != nil {
				p.log.Debug().Err(err).Msg("the past of a plot was not read; tried again")
				pause.wait(ctx)
				continue
			}
			pause = newPause()
			a.panel.seeded()
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

func (p *parts) seed(ctx context.Context, a *app) error {
	ctx, cancel := context.WithTimeout(ctx, seedWithin)
	defer cancel()
	now := time.Now()
	counts, err := a.ledger.Past().OnlineOver(ctx, now.Add(-page.Span), now, page.Step)
	if err != nil {
		return err
	}
	samples := map[time.Time]page.Sample{}
	for _, c := range counts {
		s := page.Nothing()
		s.Online, s.Offline, s.Unknown = float32(c.Online), float32(c.Offline), float32(c.Unknown)
		if c.Watched > 0 {
			s.Coverage = float32(c.Seen) / float32(c.Watched)
		}
		samples[c.At] = s
	}
	p.lookout.histories.Seed(a.id, samples)
	return nil
}

func (p *panel) wantsSeed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unseeded
}

func (p *panel) seeded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unseeded = false
}
