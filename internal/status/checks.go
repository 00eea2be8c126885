package status

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zim-presence/poller/presence"
)

// Checks are the named checks of readiness: the process is ready when it has
// checks and all are green. A name stands for one check; Set and Watch of the
// same name replace each other. All methods may be called from any goroutine.
type Checks struct {
	mu     sync.Mutex // guards all below, and what checks point to
	checks map[string]*check
	notes  map[string]string
	pulses map[string]func(now time.Time) error
	mend   func(name string, err error) string
	show   func(text string) string

	beat atomic.Pointer[beat] // the last round of Run
}

// NewChecks returns no checks, which is not ready.
func NewChecks() *Checks {
	return &Checks{
		checks: map[string]*check{}, notes: map[string]string{}, pulses: map[string]func(now time.Time) error{},
		mend: func(_ string, err error) string { return Mend(err) },
		show: func(text string) string { return text },
	}
}

// Expect makes a check that is red until its first Set, and again whenever the
// last Set is longer ago than fresh; 0 means that a Set holds for ever. A check
// that has been Set already keeps what it said.
func (c *Checks) Expect(name string, fresh time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reporting(name).fresh = fresh
}

// Set reports for a check: green with nil, else red; the error's text is shown
// and must hold no secret. Without Expect the report holds for ever.
func (c *Checks) Set(name string, err error) {
	err = oneLine(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	k, now := c.reporting(name), time.Now()
	if k.reported || !k.since.IsZero() {
		k.see(k.own(now)) // it may have gone stale since anybody looked
	}
	k.reported, k.at, k.err = true, now, err
	k.see(now, err)
}

// Watch makes a check that f judges each time that somebody looks: nil is
// green. It is called from several goroutines, at least once a second while Run
// runs, and must not wait.
func (c *Checks) Watch(name string, f func(now time.Time) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checks[name] = &check{watch: f}
}

// Remove forgets a check, its note, and the pulse of that name. None need exist.
func (c *Checks) Remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.checks, name)
	delete(c.notes, name)
	delete(c.pulses, name)
}

// Judge returns what all checks say now, sorted by name, and whether they make
// the process ready.
func (c *Checks) Judge() (ready bool, checks []Check) {
	now := time.Now()
	c.mu.Lock()
	standing := maps.Clone(c.checks)
	c.mu.Unlock()
	ready = len(standing) > 0
	for _, name := range slices.Sorted(maps.Keys(standing)) {
		verdict := c.judge(name, standing[name], now)
		ready = ready && verdict.Err == nil
		checks = append(checks, verdict)
	}
	return ready, checks
}

// judge calls what is watched, and who knows the mend, without the lock, so that a
// function that waits holds up nobody who reports.
func (c *Checks) judge(name string, k *check, now time.Time) Check {
	var watched error
	if k.watch != nil {
		watched = oneLine(k.watch(now))
	}
	c.mu.Lock()
	from, err := now, watched
	if k.watch == nil {
		from, err = k.own(now)
	}
	verdict := Check{Name: name, Err: err, Note: c.notes[name], Since: presence.Instant(k.see(from, err))}
	mend := c.mend
	c.mu.Unlock()
	if err != nil && !errors.Is(err, errSilent) {
		verdict.Mend = mend(name, err)
	}
	return verdict
}

// reporting returns the check of that name that reports by itself. It wants the
// lock.
func (c *Checks) reporting(name string) *check {
	k, known := c.checks[name]
	if !known || k.watch != nil {
		k = &check{}
		c.checks[name] = k
	}
	return k
}
