// Package share says which replica is to poll which app. It is pure, and imports
// the standard library alone.
//
// Every replica reckons for itself, from what the database shows to all of them:
// who lives, for which apps each is configured, and who holds which lease. So the
// answer depends on nothing else, not even on the order in which it is given.
//
// The invariants that it keeps:
//
//   - Every app that a live replica is configured for is assigned to exactly one
//     such replica, whoever holds it.
//   - No replica has more than its share: each of its apps counts as one part of
//     as many as there are candidates for it, and the sum is rounded up. With
//     equal sets that is apps over replicas, rounded up.
//   - What is within the share of its holder stays there, unless another app would
//     have no place. So an assignment that has come true changes no more.
package share

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// Replica is a live replica.
type Replica struct {
	// Name is its own among the replicas.
	Name string
	// Apps are those that it is configured for, in any order.
	Apps []uint32
}

// Assign returns the replica of each app that any of the live ones is configured
// for. holders are the replicas that hold apps at the moment; one that is not
// live, or not configured for the app, does not count.
func Assign(live []Replica, holders map[uint32]string) map[uint32]string {
	p := newPlan(live)
	for app, holder := range holders {
		if slices.Contains(p.candidates[app], holder) {
			p.give(app, holder)
		}
	}
	for _, name := range p.names {
		p.cut(name)
	}
	for _, app := range p.apps {
		if p.assigned[app] == "" {
			p.place(app)
		}
	}
	return p.assigned
}

// plan is an assignment in the making.
type plan struct {
	names      []string            // of the live replicas, in order
	apps       []uint32            // those with the fewest candidates first
	candidates map[uint32][]string // of each app, in the order of names
	share      map[string]int      // how many apps each replica may have
	assigned   map[uint32]string
	has        map[string][]uint32 // the same by replica, in no order
}

func newPlan(live []Replica) *plan {
	p := &plan{
		candidates: map[uint32][]string{}, share: map[string]int{},
		assigned: map[uint32]string{}, has: map[string][]uint32{},
	}
	sets := map[string]map[uint32]bool{}
	for _, r := range live {
		sets[r.Name] = map[uint32]bool{}
		for _, app := range r.Apps {
			sets[r.Name][app] = true
		}
	}
	p.names = slices.Sorted(maps.Keys(sets))
	for _, name := range p.names {
		for app := range sets[name] {
			p.candidates[app] = append(p.candidates[app], name)
		}
	}
	p.apps = slices.SortedFunc(maps.Keys(p.candidates), p.scarcer)
	for _, name := range p.names {
		p.share[name] = p.shareOf(sets[name])
	}
	return p
}

// scarcer orders apps: those with fewer candidates come first.
func (p *plan) scarcer(a, b uint32) int {
	return cmp.Or(cmp.Compare(len(p.candidates[a]), len(p.candidates[b])), cmp.Compare(a, b))
}

// shareOf rounds the sum of the parts up. If every app were cut into parts of the
// same size, one for each candidate, all would be placed and nobody had more than
// its sum; so whole apps can be placed with nobody over the sum rounded up.
func (p *plan) shareOf(apps map[uint32]bool) int {
	sum := 0.0
	for _, app := range p.apps { // in order: a sum of floats depends on it
		if apps[app] {
			sum += 1 / float64(len(p.candidates[app]))
		}
	}
	const dust = 1e-9 // what adding floats may have left over a whole number
	return int(math.Ceil(sum - dust))
}

func (p *plan) give(app uint32, name string) {
	if before, had := p.assigned[app]; had {
		p.has[before] = slices.DeleteFunc(p.has[before], func(a uint32) bool { return a == app })
	}
	p.assigned[app] = name
	p.has[name] = append(p.has[name], app)
}

// cut takes from a replica what it has over its share: first the apps that most
// others could have as well.
func (p *plan) cut(name string) {
	slices.SortFunc(p.has[name], p.scarcer)
	for len(p.has[name]) > p.share[name] {
		last := len(p.has[name]) - 1
		delete(p.assigned, p.has[name][last])
		p.has[name] = p.has[name][:last]
	}
}

// place gives an app to the candidate that has the fewest, if one has room.
// Otherwise apps move up along the shortest chain that ends where there is room:
//
//	app ─→ full replica, its app ─→ full replica, its app ─→ replica with room
func (p *plan) place(app uint32) {
	from := map[string]uint32{} // the app for which a replica would have to make room, or has it
	heads := p.reach(app, from)
	for len(heads) > 0 {
		slices.SortStableFunc(heads, func(a, b string) int { return cmp.Compare(len(p.has[a]), len(p.has[b])) })
		for _, name := range heads {
			if len(p.has[name]) < p.share[name] {
				p.moveUp(app, name, from)
				return
			}
		}
		var next []string
		for _, name := range heads {
			for _, moved := range slices.Backward(slices.SortedFunc(slices.Values(p.has[name]), p.scarcer)) {
				next = append(next, p.reach(moved, from)...)
			}
		}
		heads = next
	}
	// The shares leave room for every app, so this is for dust in the sums alone.
	p.give(app, p.candidates[app][0])
}

// reach returns the candidates of app that no app has reached yet.
func (p *plan) reach(app uint32, from map[string]uint32) (fresh []string) {
	for _, name := range p.candidates[app] {
		if _, reached := from[name]; !reached {
			from[name] = app
			fresh = append(fresh, name)
		}
	}
	return fresh
}

// moveUp makes the chain come true, from the end with room on.
func (p *plan) moveUp(app uint32, name string, from map[string]uint32) {
	for {
		moved := from[name]
		before := p.assigned[moved]
		p.give(moved, name)
		if moved == app {
			return
		}
		name = before
	}
}
