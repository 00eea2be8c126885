package main

import (
	"cmp"
	"sync"

	"github.com/zim-presence/poller/internal/zim"
)

// verdict is what is held of ZIM: what the last sweep says, unless it does not
// answer at the moment.
type verdict struct {
	mu     sync.Mutex // guards all below
	sweep  error      // why the last sweep saw nobody
	outage error      // why requests are held up
	away   error      // why nothing comes from ZIM, though nobody holds it up
	slow   bool       // the rate has been said to be low
}

// outage hears that ZIM has ceased to answer, or answers again.
func (a *app) outage(why error) {
	a.verdict.mu.Lock()
	defer a.verdict.mu.Unlock()
	a.verdict.outage = why
	a.metrics.SetBreaker(why != nil)
	a.judgeZIM()
}

// reached notes whether anything comes from ZIM, as far as anybody tried. That it does
// is no news before there was any other.
func (a *app) reached(why error) {
	a.verdict.mu.Lock()
	defer a.verdict.mu.Unlock()
	if why == nil && a.verdict.away == nil {
		return
	}
	a.verdict.away = why
	a.judgeZIM()
}

// judgeZIM has the check say what counts most. It wants the lock of the verdict.
func (a *app) judgeZIM() {
	a.checks.Set(a.check("zim"), a.verdict.worst())
}

// worst wants the lock.
func (v *verdict) worst() error {
	return cmp.Or(v.outage, v.away, v.sweep)
}

// answered notes what a sweep says of ZIM: nil for well.
func (a *app) answered(why error) {
	a.verdict.mu.Lock()
	defer a.verdict.mu.Unlock()
	a.verdict.sweep = why
	a.judgeZIM()
}

// trouble is what the check has against ZIM; empty for nothing.
func (a *app) trouble() string {
	a.verdict.mu.Lock()
	defer a.verdict.mu.Unlock()
	if why := a.verdict.worst(); why != nil {
		return why.Error()
	}
	return ""
}

// foundOut begins a term with what the client knows from the one before. What it does
// not know is not judged before the first sweep.
func (a *app) foundOut() {
	a.verdict.mu.Lock()
	a.verdict.sweep, a.verdict.away = nil, nil
	a.verdict.mu.Unlock()
	if why := a.zim.Outage(); why != nil {
		a.outage(why)
	}
}

// lowRate is the share of the setting below which the rate is said to be low. Single
// refusals at the limit take a twentieth or two off, and are not worth a line.
const lowRate = 0.75

// rated shows the working rate, and says when ZIM takes much less than the setting,
// and when it takes all of it again.
func (a *app) rated(rate float64) {
	a.verdict.mu.Lock()
	defer a.verdict.mu.Unlock()
	full := a.budget.Limit()
	a.metrics.SetRate(rate, full)
	switch {
	case !a.verdict.slow && rate < lowRate*full:
		a.verdict.slow = true
		a.log.Warn().Float64("rate", rate).Float64("setting", full).Msg("ZIM says that there are too many requests; fewer are sent until it takes more")
	case a.verdict.slow && rate >= full:
		a.verdict.slow = false
		a.log.Info().Float64("rate", rate).Msg("ZIM takes the whole rate again")
	}
}

// asked shows what there is to see behind each request.
func (a *app) asked(t zim.Attempt) {
	a.metrics.Attempted(t.Result, t.Elapsed)
	a.metrics.BudgetSpent(1)
	a.rated(a.budget.Rate())
	if ahead, known := a.zim.Skew(); known {
		a.metrics.SetSkew(ahead)
	}
}
