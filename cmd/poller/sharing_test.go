package main

import (
	"errors"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/status"
)

// sharingOf is the sharing of replica a with one app, 5, which it holds or not.
func sharingOf(held bool) (*sharing, *app) {
	metrics := status.NewMetrics("v1")
	it := &app{id: 5, take: newWish(), leave: newWish(), checks: status.NewChecks(), metrics: metrics.App(5)}
	if held {
		it.holder.lease.Store(&ledger.Lease{})
	}
	apps := &crew{}
	apps.add(it)
	return &sharing{
		lookout: newLookout(),
		me:      "a", ttl: 10 * time.Second, apps: apps, metrics: metrics, log: zerolog.Nop(), free: map[uint32]time.Time{},
	}, it
}

// What a replica is to do about an app, by what it sees.
func TestSharing(t *testing.T) {
	a, b := ledger.Replica{Owner: "a", Apps: []uint32{5}}, ledger.Replica{Owner: "b", Apps: []uint32{5}}
	a2, b2 := ledger.Replica{Owner: "a", Apps: []uint32{2, 5}}, ledger.Replica{Owner: "b", Apps: []uint32{5, 2}}
	for name, c := range map[string]struct {
		held        bool
		live        []ledger.Replica
		leases      map[uint32]ledger.LeaseSight
		freeFor     time.Duration
		take, leave bool
	}{
		"never held, alone":               {live: []ledger.Replica{a}, take: true},
		"free, and ours":                  {live: []ledger.Replica{a, b}, leases: map[uint32]ledger.LeaseSight{5: {Owner: "", Takeable: true}}, take: true},
		"held by another who lives":       {live: []ledger.Replica{a, b}, leases: map[uint32]ledger.LeaseSight{5: {Owner: "b"}}},
		"held by one who is dead":         {live: []ledger.Replica{a}, leases: map[uint32]ledger.LeaseSight{5: {Owner: "c"}}},
		"left by one who is dead":         {live: []ledger.Replica{a}, leases: map[uint32]ledger.LeaseSight{5: {Owner: "c", Takeable: true}}, take: true},
		"its session is gone for now":     {live: []ledger.Replica{a, b}, leases: map[uint32]ledger.LeaseSight{5: {Owner: "b", Takeable: true}}},
		"not taken by whose it is":        {live: []ledger.Replica{a, b}, leases: map[uint32]ledger.LeaseSight{5: {Owner: "b", Takeable: true}}, freeFor: 9 * time.Second},
		"not taken for longer than a TTL": {live: []ledger.Replica{a, b}, leases: map[uint32]ledger.LeaseSight{5: {Owner: "b", Takeable: true}}, freeFor: 11 * time.Second, take: true},
		"held by ourselves":               {held: true, live: []ledger.Replica{a, b}, leases: map[uint32]ledger.LeaseSight{5: {Owner: "a"}}},
		"our session is gone for now":     {held: true, live: []ledger.Replica{a, b}, leases: map[uint32]ledger.LeaseSight{5: {Owner: "a", Takeable: true}}},
		"held by ourselves, too much": {
			held: true, live: []ledger.Replica{a2, b2}, leases: map[uint32]ledger.LeaseSight{5: {Owner: "a"}, 2: {Owner: "a"}}, leave: true,
		},
		"too much, and lost already": {
			held: true, live: []ledger.Replica{a2, b2}, leases: map[uint32]ledger.LeaseSight{5: {Owner: "b"}, 2: {Owner: "a"}},
		},
	} {
		for _, before := range []bool{false, true} {
			s, it := sharingOf(c.held)
			if before { // what the look before has said
				it.take.say()
				it.leave.say()
			}
			if c.freeFor > 0 {
				s.free[5] = time.Now().Add(-c.freeFor)
			}
			s.follow(ledger.Sight{Live: c.live, Leases: c.leases})
			if take, leave := len(it.take) == 1, len(it.leave) == 1; take != c.take || leave != c.leave {
				t.Errorf("%s (wished before: %t): take %t, leave %t, want %t, %t", name, before, take, leave, c.take, c.leave)
			}
		}
	}
}

// What has been held meanwhile counts anew as free.
func TestForsakenIsWithoutABreak(t *testing.T) {
	s, it := sharingOf(false)
	b := []ledger.Replica{{Owner: "a", Apps: []uint32{5}}, {Owner: "b", Apps: []uint32{5}}}
	s.free[5] = time.Now().Add(-time.Hour)
	for _, free := range []bool{false, true} {
		s.follow(ledger.Sight{Live: b, Leases: map[uint32]ledger.LeaseSight{5: {Owner: "b", Takeable: free}}})
		if len(it.take) != 0 {
			t.Errorf("free: %t; the app is taken, though it had been held", free)
		}
	}
}

// When the register cannot be read every wish is taken back, and what is not held
// is red.
func TestBlindSharing(t *testing.T) {
	for _, held := range []bool{false, true} {
		s, it := sharingOf(held)
		it.take.say()
		it.leave.say()
		s.free[5] = time.Now()
		s.blind(errors.New("a fault"))
		_, all := it.checks.Judge()
		if len(it.take) != 0 || len(it.leave) != 0 || len(s.free) != 0 || (len(all) == 1) == held {
			t.Errorf("held: %t; wishes %d and %d, free %v, checks %v; want none, and a check where nothing is held",
				held, len(it.take), len(it.leave), s.free, all)
		}
	}
}
