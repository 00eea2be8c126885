package status

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
)

// The rounds of Run, and how long one may be overdue before the process counts
// as stalled: long enough for a machine that is busy elsewhere.
const (
	round   = time.Second
	stalled = 10 * time.Second
)

// errStill is the state of a process whose Run was not begun.
var errStill = errors.New("not started yet")

// beat is one round of Run.
type beat struct {
	at  time.Time // with its monotonic reading
	err error     // what the pulses said
}

// Run judges all checks once a second until ctx ends, and logs each that
// becomes red or green again. /healthz is green while it does, and while the
// pulses beat: a check that waits for ever stops it. It is called once.
func (c *Checks) Run(ctx context.Context, log zerolog.Logger) {
	tick := time.NewTicker(round)
	defer tick.Stop()
	red := map[string]bool{}
	for {
		_, checks := c.Judge()
		now := time.Now()
		c.beat.Store(&beat{at: now, err: c.feel(now)})
		red = tellChanges(log, red, checks)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tellChanges logs what differs from red, the names that were red before, and
// returns those that are now. A check that has yet to report is no news.
func tellChanges(log zerolog.Logger, red map[string]bool, checks []Check) map[string]bool {
	now := map[string]bool{}
	for _, k := range checks {
		if k.Err != nil && !errors.Is(k.Err, errSilent) {
			now[k.Name] = true
		}
		switch {
		case now[k.Name] && !red[k.Name]:
			line := log.Warn().Str("check", k.Name).Err(k.Err)
			if k.Mend != "" {
				line = line.Str("mend", k.Mend)
			}
			line.Msg("check is red")
		case red[k.Name] && k.Err == nil:
			log.Info().Str("check", k.Name).Msg("check is green again")
		}
	}
	return now
}

// turning says whether Run goes its rounds, and what it has found. It takes no lock.
func (c *Checks) turning(now time.Time) error {
	beat := c.beat.Load()
	if beat == nil {
		return errStill
	}
	if still := now.Sub(beat.at); still > stalled {
		return fmt.Errorf("stalled: the checks were last judged %s ago", still.Round(time.Second))
	}
	return beat.err
}
