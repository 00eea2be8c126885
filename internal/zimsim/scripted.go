package zimsim

import (
	"iter"
	"maps"
	"slices"
	"sync"
	"time"
)

// scripted is a population in which nothing happens unless it is told.
type scripted struct {
	clock clock

	mu      sync.Mutex // guards all below
	states  map[string]State
	history history
}

func newScripted(c clock, historyLimit int) *scripted {
	return &scripted{clock: c, states: map[string]State{}, history: newHistory(historyLimit)}
}

func (p *scripted) look(users []string, dst []State) []State {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range users {
		dst = append(dst, p.states[u])
	}
	return dst
}

func (p *scripted) set(states map[string]State) (time.Time, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.at(p.clock.elapsed())
	for _, u := range slices.Sorted(maps.Keys(states)) {
		from, to := p.states[u], states[u]
		p.states[u] = to
		if from != to {
			p.history.add(u, now, from, to)
		}
	}
	return now, nil
}

func (p *scripted) known(user string) (State, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.states[user]
	return s, ok
}

func (p *scripted) truth(at func(time.Time)) iter.Seq2[string, State] {
	return func(yield func(string, State) bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		at(p.clock.at(p.clock.elapsed()))
		for u, s := range p.states {
			if !yield(u, s) {
				return
			}
		}
	}
}

func (p *scripted) changes(seq uint64) ([]Change, uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.history.since(seq), p.history.dropped()
}

func (p *scripted) advance() {}

func (p *scripted) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.states)
}
