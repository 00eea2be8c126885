package zimsim

import (
	"fmt"
	"maps"
	"net/url"
	"sync"
	"time"
)

// Callbacks are where and how ZIM calls back of logins and logouts, and what goes wrong with that. Each of the shares
// is a probability, from 0 to 1, of one callback.
type Callbacks struct {
	URL       string        `json:"url"`       // empty calls nobody
	Secret    string        `json:"secret"`    // the callback secret of the app
	Lost      float64       `json:"lost"`      // never sent
	Late      float64       `json:"late"`      // sent LateBy behind the change
	LateBy    time.Duration `json:"late_by"`   // in nanoseconds in JSON; 0 means 5 s
	Doubled   float64       `json:"doubled"`   // sent twice
	Forged    float64       `json:"forged"`    // with a signature that is wrong
	Reordered float64       `json:"reordered"` // sent within 2 s, so that later ones may overtake it
}

// CallbackStats are what became of callbacks so far.
type CallbackStats struct {
	Called   uint64 `json:"called"`    // of changes; those that were lost or doubled count once
	Lost     uint64 `json:"lost"`      // never sent, since that was set, or too many were under way
	Requests uint64 `json:"requests"`  // repetitions included
	Taken    uint64 `json:"taken"`     // answered 2xx
	GivenUp  uint64 `json:"given_up"`  // never answered so
	LastBody string `json:"last_body"` // as it was sent
}

// calling is the callbacks of one app.
type calling struct {
	mu    sync.Mutex // guards all below
	set   Callbacks
	since uint64 // changes up to this one are called
	stats CallbackStats
}

// withDefaults says what is wrong with it.
func (c Callbacks) withDefaults() (Callbacks, error) {
	setIfZero(&c.LateBy, 5*time.Second)
	for name, share := range map[string]float64{"lost": c.Lost, "late": c.Late, "doubled": c.Doubled, "forged": c.Forged, "reordered": c.Reordered} {
		if share < 0 || share > 1 {
			return c, fmt.Errorf("callbacks: %s is %v: want 0 to 1", name, share)
		}
	}
	u, err := url.Parse(c.URL)
	if err != nil || c.URL != "" && u.Scheme != "http" && u.Scheme != "https" || c.LateBy < 0 {
		return c, fmt.Errorf("callbacks: want an http or https url, and late_by not below 0")
	}
	return c, nil
}

// SetCallbacks has ZIM call back of the changes from now on. A server that was not started calls nobody; nor does a
// population that keeps no history.
func (a *App) SetCallbacks(c Callbacks) error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	kept, dropped := a.population.changes(0)
	a.calling.mu.Lock()
	defer a.calling.mu.Unlock()
	if a.calling.set.URL == "" {
		a.calling.since = dropped + uint64(len(kept))
	}
	a.calling.set = c
	return nil
}

// Callbacks are those that are set, and what became of them.
func (a *App) Callbacks() (Callbacks, CallbackStats) {
	a.calling.mu.Lock()
	defer a.calling.mu.Unlock()
	return a.calling.set, a.calling.stats
}

// uncalled is the changes that are to be called now.
func (a *App) uncalled() (Callbacks, []Change) {
	set, _ := a.Callbacks()
	if set.URL == "" {
		return set, nil
	}
	a.calling.mu.Lock()
	defer a.calling.mu.Unlock()
	changes, _ := a.population.changes(a.calling.since)
	if len(changes) > 0 {
		a.calling.since = changes[len(changes)-1].Seq
	}
	return set, changes
}

// note changes the figures.
func (a *App) note(change func(*CallbackStats)) {
	a.calling.mu.Lock()
	defer a.calling.mu.Unlock()
	change(&a.calling.stats)
}

// list is all apps.
func (s *Server) list() []*App {
	s.mu.RLock()
	defer s.mu.RUnlock()
	apps := make([]*App, 0, len(s.apps))
	for a := range maps.Values(s.apps) {
		apps = append(apps, a)
	}
	return apps
}
