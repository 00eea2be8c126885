package main

import (
	"context"
	"time"

	"github.com/zim-presence/poller/internal/ledger"
)

// check refuses a range that cannot be one.
func (c *verifyCmd) check(now time.Time) error {
	for _, end := range []struct {
		flag string
		bound
	}{{"--from", c.From}, {"--to", c.To}} {
		if end.at.After(now) {
			return usagef("%s %s lies in the future", end.flag, rfc(end.at))
		}
	}
	if c.From.seq > 0 && c.To.seq > 0 && c.From.seq > c.To.seq {
		return usagef("--from %d lies behind --to %d", c.From.seq, c.To.seq)
	}
	if !c.From.at.IsZero() && !c.To.at.IsZero() && !c.From.at.Before(c.To.at) {
		return usagef("--from %s does not lie before --to %s", rfc(c.From.at), rfc(c.To.at))
	}
	return nil
}

// there refuses events that are not recorded yet: of nothing all agrees.
func (c *verifyCmd) there(ctx context.Context, l *ledger.Ledger) error {
	if c.From.seq == 0 && c.To.seq == 0 {
		return nil
	}
	extent, err := l.Past().Extent(ctx)
	switch {
	case err != nil:
		return err
	case c.From.seq > extent.Newest:
		return usagef("--from %d: there is no such event yet, the newest is %d", c.From.seq, extent.Newest)
	case c.To.seq > extent.Newest:
		return usagef("--to %d: there is no such event yet, the newest is %d", c.To.seq, extent.Newest)
	}
	return nil
}
