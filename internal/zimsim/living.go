package zimsim

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

// Living describes a population that comes and goes by itself. Everything is a function of the seed and the elapsed
// time. The durations are of simulated time, which runs Speed times as fast as the server's clock.
type Living struct {
	Users   int           `json:"users"`   // how many; they are called user-000001, user-000002, …
	Speed   float64       `json:"speed"`   // simulated seconds in a real one; 0 means 1
	Hour    float64       `json:"hour"`    // hour of the simulated day at the start, 0 to 24; 0 is midnight
	Session time.Duration `json:"session"` // mean time online, in nanoseconds in JSON; 0 means 20 min
	Away    time.Duration `json:"away"`    // mean time offline in the busiest hour, 16:00; 0 means 40 min
	Loss    float64       `json:"loss"`    // share of sessions that end with a lost heartbeat; 0 means 0.3, negative none
	Night   float64       `json:"night"`   // activity at 04:00 relative to 16:00, 0 to 1; 0 means 0.1
}

// heartbeat is how long after the last sign of life a user is still answered as Online.
const heartbeat = 35 * time.Second

// blink is the mean time for which a lost network is gone; one that is back within heartbeat is never seen.
const blink = 60 * time.Second

func (l Living) withDefaults() (Living, error) {
	setIfZero(&l.Speed, 1)
	setIfZero(&l.Session, 20*time.Minute)
	setIfZero(&l.Away, 40*time.Minute)
	setIfZero(&l.Loss, 0.3)
	setIfZero(&l.Night, 0.1)
	l.Loss = max(l.Loss, 0)
	switch {
	case l.Users < 1 || l.Users > math.MaxUint32:
		return l, fmt.Errorf("living population: %d users: want 1 to %d", l.Users, uint32(math.MaxUint32))
	case l.Speed < 0, l.Session < 0, l.Away < 0, l.Loss > 1, l.Night < 0, l.Night > 1, l.Hour < 0, l.Hour > 24:
		return l, fmt.Errorf("living population: a figure out of range in %+v", l)
	}
	return l, nil
}

func setIfZero[T comparable](at *T, value T) {
	var zero T
	if *at == zero {
		*at = value
	}
}

// soul is what is remembered about one user: 8 bytes.
type soul struct {
	draws  uint32 // how often its dice were thrown: its fate depends on nobody else's
	state  State
	fading bool // the heartbeat is lost, answers still say Online
}

// living advances when it is looked at.
type living struct {
	Living
	seed  uint64
	clock clock

	mu      sync.Mutex // guards all below
	souls   []soul
	agenda  agenda
	seen    time.Duration // how far it has been advanced
	history history
}

func newLiving(l Living, seed uint64, c clock, historyLimit int) (*living, error) {
	l, err := l.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &living{Living: l, seed: seed, clock: c, history: newHistory(historyLimit)}
	p.souls = make([]soul, l.Users)
	p.agenda = make(agenda, l.Users)
	for i := range p.souls {
		p.agenda[i] = due{p.born(uint32(i)), uint32(i)}
	}
	p.agenda.order()
	return p, nil
}

// born draws the state at the start and returns when it first ends.
func (p *living) born(user uint32) int64 {
	d := p.throw(user)
	away := p.away(user) / p.activity(0)
	if d.chance(float64(p.Session) / (float64(p.Session) + away)) {
		p.souls[user].state = Online
		return d.exponential(float64(p.Session))
	}
	if d.chance(p.Loss) {
		p.souls[user].state = Timeout
	}
	return d.exponential(p.away(user))
}

func (p *living) throw(user uint32) dice {
	s := &p.souls[user]
	s.draws++
	return diceAt(p.seed, uint64(user)+1, uint64(s.draws))
}

// away is the user's own mean time offline in the busiest hour: some come sixteen times as often as others.
func (p *living) away(user uint32) float64 {
	d := diceAt(p.seed, uint64(user)+1, 0)
	return float64(p.Away) * 0.25 * math.Pow(16, d.float())
}

// activity is the share of the busiest hour's arrivals at a simulated time: 1 at 16:00, Night at 04:00.
func (p *living) activity(sim int64) float64 {
	hour := p.Hour + float64(sim)/float64(time.Hour)
	return p.Night + (1-p.Night)*(1-math.Cos((hour-4)*2*math.Pi/24))/2
}

// step does what is due to a user and returns when the next thing is.
func (p *living) step(user uint32, sim int64, turn func(State)) int64 {
	s, d := &p.souls[user], p.throw(user)
	switch {
	case s.fading:
		s.fading = false
		turn(Timeout)
		return sim + d.exponential(p.away(user))
	case s.state == Online && d.chance(p.Loss):
		if gone := d.exponential(float64(blink)); gone < int64(heartbeat) {
			return sim + gone + d.exponential(float64(p.Session))
		}
		s.fading = true
		return sim + int64(heartbeat)
	case s.state == Online:
		turn(LoggedOut)
		return sim + d.exponential(p.away(user))
	case d.chance(p.activity(sim)):
		turn(Online)
		return sim + d.exponential(float64(p.Session))
	}
	return sim + d.exponential(p.away(user))
}

// advanceTo lets everything happen that is due at an offset of the server's clock. The caller holds the lock.
func (p *living) advanceTo(now time.Duration) {
	if now <= p.seen {
		return
	}
	sim := int64(float64(now) * p.Speed)
	for len(p.agenda) > 0 && p.agenda[0].at <= sim {
		next := &p.agenda[0]
		// Rounding must not move a change behind the look that shows it or before the look that did not.
		at := min(max(time.Duration(float64(next.at)/p.Speed), p.seen+1), now)
		next.at = p.step(next.user, next.at, func(to State) { p.turn(next.user, at, to) })
		p.agenda.sink(0)
	}
	p.seen = now
}

// turn makes a state visible. The caller holds the lock.
func (p *living) turn(user uint32, at time.Duration, to State) {
	from := p.souls[user].state
	p.souls[user].state = to
	if from == to {
		return
	}
	name := ""
	if p.history.limit > 0 {
		name = UserName(int(user) + 1)
	}
	p.history.add(name, p.clock.at(at), from, to)
}

func (p *living) look(users []string, dst []State) []State {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advanceTo(p.clock.elapsed())
	for _, u := range users {
		state := LoggedOut
		if n, ok := p.number(u); ok {
			state = p.souls[n].state
		}
		dst = append(dst, state)
	}
	return dst
}

func (p *living) set(states map[string]State) (time.Time, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for u := range states {
		if _, ok := p.number(u); !ok {
			return time.Time{}, fmt.Errorf("user %q: not one of the %d living", u, p.Users)
		}
	}
	now := p.clock.elapsed()
	p.advanceTo(now)
	for _, u := range slices.Sorted(maps.Keys(states)) {
		n, _ := p.number(u)
		p.souls[n].fading = false
		p.turn(n, now, states[u])
	}
	return p.clock.at(now), nil
}

func (p *living) known(user string) (State, bool) {
	n, ok := p.number(user)
	if !ok {
		return LoggedOut, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advanceTo(p.clock.elapsed())
	return p.souls[n].state, true
}

func (p *living) truth(at func(time.Time)) iter.Seq2[string, State] {
	return func(yield func(string, State) bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		now := p.clock.elapsed()
		p.advanceTo(now)
		at(p.clock.at(now))
		for i, s := range p.souls {
			if !yield(UserName(i+1), s.state) {
				return
			}
		}
	}
}

func (p *living) changes(seq uint64) ([]Change, uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advanceTo(p.clock.elapsed())
	return p.history.since(seq), p.history.dropped()
}

func (p *living) advance() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advanceTo(p.clock.elapsed())
}

func (p *living) size() int { return p.Users }
