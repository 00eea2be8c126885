package zimsim

import (
	"fmt"
	"maps"
	"sync"
	"time"
)

// defaultRate is the vendor's limit for this action, in requests a second.
const defaultRate = 20

// AppConfig is one ZIM app that the gateway answers for.
type AppConfig struct {
	ID       uint32  `json:"app"`                // 1 or more
	Secret   string  `json:"secret"`             // the ServerSecret, 1 to 64 bytes
	Rate     int     `json:"rate,omitempty"`     // requests in a sliding second; 0 means 20, negative no limit
	Living   *Living `json:"living,omitempty"`   // nil means a scripted population, empty at first
	History  int     `json:"history,omitempty"`  // visible changes kept; 0 means 1,000,000, negative none
	Arrivals int     `json:"arrivals,omitempty"` // arrival times kept; never fewer than the last 1,000,000
}

// App is a ZIM app inside a running simulator. Its methods may be called at any time, from any goroutine.
type App struct {
	id         uint32
	secret     string
	clock      clock
	population population
	calling    calling

	mu    sync.Mutex // guards all below
	rate  int        // 0 is no limit
	books books
}

func newApp(c AppConfig, seed uint64, clk clock) (*App, error) {
	if c.ID == 0 || len(c.Secret) < 1 || len(c.Secret) > 64 {
		return nil, fmt.Errorf("app %d: want an id over 0 and a secret of 1 to 64 bytes", c.ID)
	}
	a := &App{id: c.ID, secret: c.Secret, clock: clk, books: newBooks(c.Arrivals)}
	a.SetRate(c.Rate)
	if c.Living == nil {
		a.population = newScripted(clk, c.History)
		return a, nil
	}
	living, err := newLiving(*c.Living, seed^uint64(c.ID)*golden, clk, c.History)
	if err != nil {
		return nil, fmt.Errorf("app %d: %w", c.ID, err)
	}
	a.population = living
	return a, nil
}

// ID is the AppID.
func (a *App) ID() uint32 { return a.id }

// Secret is the ServerSecret.
func (a *App) Secret() string { return a.secret }

// SetRate sets the limit in requests per sliding second, from the next arrival on: 0 means 20, negative no limit.
func (a *App) SetRate(rate int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	setIfZero(&rate, defaultRate)
	a.rate = max(rate, 0)
}

// Set makes a state visible now and returns that instant. A living population refuses users that it does not have
// and lets those it has go on from there; a scripted one takes anybody.
func (a *App) Set(user string, state State) (time.Time, error) {
	return a.SetAll(map[string]State{user: state})
}

// SetAll is Set for many users at one instant; all or, with an error, none.
func (a *App) SetAll(states map[string]State) (time.Time, error) {
	at, err := a.population.set(states)
	if err != nil {
		return at, fmt.Errorf("set %d users of app %d: %w", len(states), a.id, err)
	}
	return at, nil
}

// State is what an answer would say about the user now, and whether the population has such a user.
func (a *App) State(user string) (state State, known bool) { return a.population.known(user) }

// Truth is what an answer about everybody would say, at the instant at.
func (a *App) Truth() (at time.Time, states map[string]State) {
	states = make(map[string]State, a.population.size())
	maps.Insert(states, a.population.truth(func(t time.Time) { at = t }))
	return at, states
}

// Advance lets a living population do what is due by now. Every look does so too; who leaves a large and fast one
// alone for long calls Advance now and then, so that the next look does not pay for all of it. Start's server does.
func (a *App) Advance() { a.population.advance() }

// Changes is the visible changes numbered above since, oldest first, and how many of all changes so far are no
// longer kept: unless since is at least dropped, there is a hole.
func (a *App) Changes(since uint64) (changes []Change, dropped uint64) {
	return a.population.changes(since)
}

// Arrivals is the times of the arrivals numbered (from 0) since and up, as far as they are kept, as offsets from
// the server's start, and the number of the first of them.
func (a *App) Arrivals(since uint64) (offsets []time.Duration, first uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.books.arrivals.since(since)
}

// Stats is the book-keeping so far.
func (a *App) Stats() Stats {
	users := a.population.size()
	a.mu.Lock()
	defer a.mu.Unlock()
	b := &a.books
	s := Stats{
		App: a.id, Users: users, Rate: a.rate,
		Arrivals: b.arrivals.total, MostPerSecond: b.arrivals.most, SmallestGap: b.arrivals.gap,
		RepeatedNonces: b.repeated, IDs: b.ids, Answers: b.answers, AllGone: b.allGone, Unread: b.unread,
		Refused: maps.Clone(b.refused), Faults: maps.Clone(b.faults),
	}
	if a.rate == 0 {
		s.Rate = -1
	}
	if b.arrivals.total > 0 {
		s.First, s.Last = a.clock.at(b.arrivals.first), a.clock.at(b.arrivals.when(b.arrivals.total-1))
	}
	return s
}

// book writes the arrival down and says whether it is over the limit.
func (a *App) book(at time.Duration, q *query) (arrived arrival, over bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	arrived = a.books.book(at, q)
	return arrived, a.rate > 0 && arrived.inSecond > a.rate
}

func (a *App) bookRefusal(r *refusal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.books.refused[r.label()]++
}

func (a *App) bookAnswer(allGone bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.books.answers++
	if allGone {
		a.books.allGone++
	}
}

func (a *App) bookFaults(struck []*liveFault) {
	if len(struck) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range struck {
		a.books.faults[string(f.Kind)]++
	}
}

func (a *App) bookUnread() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.books.unread++
}
