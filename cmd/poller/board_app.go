package main

import (
	"math"
	"slices"
	"time"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/page"
)

// mostIncidentsShown is how many incidents of an app the page shows.
const mostIncidentsShown = 10

// board is what the page shows of the app. sight is what was seen of the leases last, nil for nothing.
func (a *app) board(me string, sight *ledger.Sight, now time.Time) page.App {
	lease, open := a.holder.lease.Load(), a.zim.Outage() != nil
	shown := page.App{
		App: a.id, Incidents: []page.Incident{},
		Budget: page.Budget{Rate: a.budget.Rate(), Used: a.spent.used(now, a.budget.Spent())},
	}
	a.panel.show(&shown, now)
	shown.Budget.Used = min(1, shown.Budget.Used/shown.Budget.Setting)
	if lease == nil {
		shown.Lease = page.Lease{Holder: holderOf(sight, a.id)}
		return shown
	}
	shown.Lease.Held, shown.Lease.Holder, shown.Lease.Epoch = true, me, lease.Epoch()
	shown.Budget.Breaker, shown.Trouble = open, a.trouble()
	shown.Incidents = a.incidentsShown()
	if ahead, known := a.zim.Skew(); known {
		shown.Clock = ahead.Seconds()
	}
	if c := a.census.Load(); c != nil {
		shown.Users.Online, shown.Users.Offline, shown.Users.Unknown = c.Online, c.Offline, c.Unknown
		shown.Users.Watched = c.Online + c.Offline + c.Unknown
		shown.Ages = newAgesShown(c)
	} else {
		shown.Users = nil
	}
	return shown
}

// holderOf is who polls an app, as far as was seen.
func holderOf(sight *ledger.Sight, app uint32) string {
	if sight == nil || sight.Takeable(app) {
		return ""
	}
	return sight.Leases[app].Owner
}

// slots is how many requests a rate allows in a second: from one on, a whole number.
func slots(rate float64) float64 {
	if rate >= 1 {
		return math.Floor(rate)
	}
	return rate
}

// show adds what the panel has.
func (p *panel) show(to *page.App, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	to.Schedule, to.Budget.Setting = p.schedule, slots(p.setting)
	if p.since.IsZero() {
		return
	}
	to.Lease.Since, to.Last, to.Delay = orNil(p.since.UTC()), p.last, p.delay
	to.Users = &page.Users{Invalid: p.invalid, Held: p.held, Gated: p.gated}
	if covered := float64(p.covered); !math.IsNaN(covered) {
		to.Users.Coverage = &covered
	}
	if p.due != nil {
		to.Next = orNil(p.due().UTC())
	}
	if p.running != nil {
		to.Running = newSweepShown(p.running, p.missed)
		to.Running.Left = p.left(now)
	}
	to.Lag.Events = p.untold
	if p.untold > 0 && !p.oldest.IsZero() {
		to.Lag.Seconds = max(0, now.Sub(p.oldest)).Seconds()
	}
}

// left is how long the sweep that runs will last, if it goes on as it has. It wants the lock.
func (p *panel) left(now time.Time) *float64 {
	r := p.running
	done := r.Seen + p.missed
	if done == 0 {
		return nil
	}
	left := max(0, float64(r.Watched-done)*now.Sub(p.listed).Seconds()/float64(done))
	return &left
}

// incidentsShown are the newest incidents, the newest first.
func (a *app) incidentsShown() []page.Incident {
	all := a.evidence.Incidents()
	slices.Reverse(all)
	shown := []page.Incident{}
	for _, i := range all[:min(len(all), mostIncidentsShown)] {
		one := page.Incident{Number: i.Number, Began: i.Began, Ended: orNil(i.Ended), Flips: i.Flips, Share: i.Share}
		if one.Ended != nil {
			one.Outcome = outcomeOf(i.Released)
		}
		shown = append(shown, one)
	}
	return shown
}

func newAgesShown(c *diff.Census) *page.Ages {
	ages := &page.Ages{
		At: c.At, Users: c.Ages.Users[:], Never: c.Ages.Never,
		Median: c.Ages.Median.Seconds(), P99: c.Ages.P99.Seconds(), Oldest: c.Ages.Oldest.Seconds(),
	}
	for _, bound := range diff.AgeBounds() {
		ages.Under = append(ages.Under, bound.Seconds())
	}
	return ages
}
