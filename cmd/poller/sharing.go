package main

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/share"
	"github.com/zim-presence/poller/internal/status"
)

// lookEvery is how often a replica looks who lives and who holds what: one
// statement for all apps.
const lookEvery = 250 * time.Millisecond

// sharing has the leases gone for, and given up, that the shares of the replicas
// say. Every replica reckons them for itself.
//
//	look ─→ assign ─┬─→ ours, and can be taken:  take it now
//	                └─→ another's, and we hold:  leave it between two sweeps
//
// What one look has said holds until the next. When the register cannot be read
// nothing is taken, and nothing given up: the leases decide what is lost.
type sharing struct {
	me       string
	replicas *ledger.Replicas
	ttl      time.Duration
	apps     *crew
	lookout  *lookout
	metrics  *status.Metrics
	log      zerolog.Logger

	free map[uint32]time.Time // since when nobody has taken an app
	said string
}

func newSharing(p *parts) *sharing {
	s := &sharing{me: p.me, ttl: p.cfg.Lease.TTL, apps: &p.apps, lookout: p.lookout, metrics: p.metrics, log: p.log, free: map[uint32]time.Time{}}
	s.replicas = ledger.NewReplicas(p.db.Pool, ledger.Replica{Owner: p.me, Apps: p.apps.ids()}, s.ttl)
	return s
}

// run looks until ctx ends, and takes the replica off the register then, before
// it has given its leases back, so that the others are ready for them.
func (s *sharing) run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	defer s.leave(ctx)
	for {
		s.replicas.SetApps(s.apps.ids())
		sight, err := s.replicas.Look(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.blind(err)
		default:
			s.follow(sight)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *sharing) leave(ctx context.Context) {
	if err := s.replicas.Leave(context.WithoutCancel(ctx)); err != nil {
		s.log.Warn().Err(err).Msg("still on the register of replicas; that expires by itself")
	}
}

// blind takes every wish back.
func (s *sharing) blind(err error) {
	s.lookout.sight.Store(nil)
	for a := range s.apps.each() {
		a.take.takeBack()
		a.leave.takeBack()
		if !a.held() {
			a.waiting(err)
			a.metrics.SeenLease(status.LeaseUnknown, 0)
		}
	}
	clear(s.free)
	s.metrics.SetReplicas(0, 0)
	if why := err.Error(); why != s.said {
		s.log.Warn().Err(err).Msg("the register of replicas cannot be read; nothing is taken, and nothing given up")
		s.said = why
	}
}

// follow says of each app what is to be done about it.
func (s *sharing) follow(sight ledger.Sight) {
	s.lookout.sight.Store(&sight)
	assigned, ours, all := assign(sight), 0, 0
	now := time.Now()
	for a := range s.apps.each() {
		all++
		mine := assigned[a.id] == s.me
		if mine {
			ours++
		}
		held, free := a.held(), sight.Takeable(a.id)
		a.seen(sight.Leases[a.id], free)
		if held && !mine && sight.Leases[a.id].Owner == s.me {
			a.leave.say()
		} else {
			a.leave.takeBack()
		}
		if !held && free && (mine || s.forsaken(a.id, now)) {
			a.take.say()
			continue // what comes of it is said by who tries
		}
		a.take.takeBack()
		a.waiting(nil)
		a.heldBy(sight.Leases[a.id].Owner, free)
		if held || !free {
			delete(s.free, a.id)
		}
	}
	s.metrics.SetReplicas(len(sight.Live), ours)
	if what := fmt.Sprint(len(sight.Live), ours, all); what != s.said {
		s.log.Info().Int("replicas", len(sight.Live)).Int("share", ours).Int("apps", all).Msg("apps shared")
		s.said = what
	}
}

// forsaken tells whether an app has been free for longer than a lease lasts: the
// replica that it is assigned to cannot take it, or reckons otherwise, as another
// version might. Then anybody takes it.
func (s *sharing) forsaken(app uint32, now time.Time) bool {
	since, known := s.free[app]
	if !known {
		s.free[app] = now
	}
	return known && now.Sub(since) > s.ttl
}

// assign reckons who is to poll what.
func assign(sight ledger.Sight) map[uint32]string {
	var live []share.Replica
	for _, r := range sight.Live {
		live = append(live, share.Replica{Name: r.Owner, Apps: r.Apps})
	}
	holders := map[uint32]string{}
	for app, lease := range sight.Leases {
		holders[app] = lease.Owner
	}
	return share.Assign(live, holders)
}
