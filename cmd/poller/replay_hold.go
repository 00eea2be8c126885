package main

import (
	"context"
	"fmt"
	"time"

	"github.com/zim-presence/poller/internal/ledger"
)

// coreQuiet is how long a replay without a stream must not have moved before it is taken from a holder who did not give
// it out of hand. A living one moves it every second.
const coreQuiet = 5 * time.Second

// hold takes the replay. With a stream it may be taken from a living process: what that one still publishes is refused by
// the stream, and it ends. Without one it would be told twice: so a living one is refused.
func (c *replayTellCmd) hold(ctx context.Context, p replayParts, row ledger.Replay) (*ledger.ReplayHold, error) {
	if c.Core && row.Holder != "" {
		if err := c.quiet(ctx, p, row); err != nil {
			return nil, err
		}
	}
	return p.ledger.HoldReplay(ctx, c.Name, row.Holder, "poller replay on "+owner())
}

// quiet waits until the replay has not moved for long enough.
func (c *replayTellCmd) quiet(ctx context.Context, p replayParts, row ledger.Replay) error {
	p.log.Info().Str("replay", c.Name).Str("holder", row.Holder).Dur("pause", coreQuiet).Msg("waiting whether the replay is told by another")
	timer := time.NewTimer(coreQuiet)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	now, found, err := p.ledger.Replay(ctx, c.Name)
	if err == nil && (!found || now.Holder != row.Holder || !now.Moved.Equal(row.Moved)) {
		err = fmt.Errorf("replay %s of app %d: it is told by %s", c.Name, p.app, row.Holder)
	}
	return err
}
