package main

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/zim-presence/poller/internal/diff"
	"github.com/zim-presence/poller/internal/poll"
	"github.com/zim-presence/poller/internal/zim"
)

// tuning is what of the configuration an app goes by at the moment. It never changes: another takes its place.
type tuning struct {
	appConfig
	recording poll.Settings
}

// newTuning returns what the configuration says of one app.
func newTuning(cfg config, one appConfig) (*tuning, error) {
	schedule, err := poll.ParseSchedule(one.Schedule)
	if err != nil {
		return nil, usageError{err}
	}
	t := &tuning{one, poll.Settings{
		Schedule: schedule, AllowSuddenDrop: cfg.Watchlist.AllowSuddenDrop,
		Hold: diff.Hold{Offline: cfg.Hold.Offline, Online: cfg.Hold.Online}, StaleAfter: cfg.StaleAfter,
		MaxOfflineShare: cfg.Plausibility.MaxOfflineShare, Patience: cfg.Plausibility.Patience,
	}}
	if err := t.asking().Check(); err != nil {
		return nil, fmt.Errorf("app %d: %w", one.AppID, err)
	}
	return t, nil
}

// asking is how ZIM is asked.
func (t *tuning) asking() zim.Settings {
	return zim.Settings{BaseURL: t.BaseURL, Secret: string(t.ServerSecret), Rate: t.Rate, BatchSize: t.BatchSize, Timeout: t.Timeout}
}

// tune has the app go by another tuning from now on, whether it polls or not. One goroutine at a time may do so.
func (a *app) tune(next *tuning) error {
	before := a.tuned.Load()
	if next.appConfig.Schedule == before.appConfig.Schedule {
		next.recording.Schedule = before.recording.Schedule // the same one is no new one
	}
	if err := a.zim.Set(next.asking()); err != nil {
		return fmt.Errorf("app %d: %w", a.id, err)
	}
	a.budget.SetRate(next.Rate)
	a.rates.set(a.clock.Now(), next.Rate)
	a.tuned.Store(next)
	select {
	case <-a.changes: // nobody has heard the one before
	default:
	}
	a.changes <- next.recording
	a.panel.configured(next.appConfig.Schedule, next.Rate)
	a.metrics.SetInterval(interval(next.recording.Schedule, time.Now()))
	a.rated(a.budget.Rate())
	return nil
}

// rates are those that were set lately, to tell how much the budget allowed. Its zero value knows none.
type rates struct {
	mu  sync.Mutex  // guards was
	was []ratedFrom // in the order of time
}

type ratedFrom struct {
	from time.Time
	rate float64
}

// ratesKept bounds how many changes are remembered: those of the time of one sweep are wanted.
const ratesKept = 64

func (r *rates) set(now time.Time, rate float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.was); n > 0 && r.was[n-1].rate == rate {
		return
	}
	r.was = append(r.was, ratedFrom{now, rate})
	r.was = r.was[max(0, len(r.was)-ratesKept):]
}

// mean is how many requests a second were allowed between two moments, on the average. Before the first rate that is
// known it was the same.
func (r *rates) mean(from, to time.Time) (rate float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	allowed := 0.0
	for i, w := range r.was {
		begin, end := w.from, to
		if i == 0 || begin.Before(from) {
			begin = from
		}
		if i+1 < len(r.was) && r.was[i+1].from.Before(to) {
			end = r.was[i+1].from
		}
		if rate = whole(w.rate); end.After(begin) {
			allowed += rate * end.Sub(begin).Seconds()
		}
	}
	if !to.After(from) {
		return rate
	}
	return allowed / to.Sub(from).Seconds()
}

// whole is a rate as the budget takes it.
func whole(rate float64) float64 {
	if rate >= 1 {
		return math.Floor(rate)
	}
	return rate
}
