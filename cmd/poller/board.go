package main

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/page"
	"github.com/zim-presence/poller/internal/status"
)

// lookout is what the status page of the process is made of, beside what each app tells its panel.
type lookout struct {
	started   time.Time
	live      *page.Live
	histories *page.Histories
	sight     atomic.Pointer[ledger.Sight] // of the leases and the replicas; nil while nothing can be seen
	refused   atomic.Bool                  // the configuration that was read last
}

func newLookout() *lookout {
	return &lookout{started: time.Now(), live: page.NewLive(), histories: page.NewHistories()}
}

// site is everything that is answered over HTTP.
func (p *parts) site() (http.Handler, error) {
	if p.cfg.HTTP.HideUserIDs {
		p.checks.ShowBy(page.Unnamed)
	}
	return page.New(page.Config{
		Board: p.board, User: p.explainUser, Histories: p.lookout.histories, Live: p.lookout.live,
		Hosts: p.cfg.HTTP.Hosts, HideUserIDs: p.cfg.HTTP.HideUserIDs,
	}, status.Handler(p.metrics, p.checks, p.explain))
}

// feedPage feeds the page until ctx ends, and lets no browser look on then.
func (p *parts) feedPage(ctx context.Context) {
	stop := context.AfterFunc(ctx, p.lookout.live.Close)
	defer stop()
	p.keepHistories(ctx)
}

// board is what the page shows now, of one app, or of all with 0.
func (p *parts) board(only uint32) page.Board {
	now := time.Now()
	ready, checks := p.checks.Judge()
	sight := p.lookout.sight.Load()
	b := page.Board{
		At: now.UTC(), Version: versionText(), Process: p.me, Started: p.lookout.started.UTC(), Ready: ready,
		ConfigRefused: p.lookout.refused.Load(),
		Checks:        []page.Check{}, Apps: []page.App{},
	}
	if sight != nil {
		b.Replicas = len(sight.Live)
	}
	for _, c := range checks {
		b.Checks = append(b.Checks, page.Check{Name: c.Name, OK: c.Err == nil, Error: c.Fault(), Mend: c.Mend, Note: c.Note, Since: c.Since})
	}
	all := p.apps.all()
	b.Total = len(all)
	slices.SortFunc(all, func(a, b *app) int { return cmp.Compare(a.id, b.id) })
	for _, a := range all {
		if (only == 0 || only == a.id) && len(b.Apps) < page.MostApps {
			b.Apps = append(b.Apps, a.board(p.me, sight, now))
		}
	}
	return b
}
