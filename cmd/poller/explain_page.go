package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/zim-presence/poller/internal/page"
)

// eventsOnPage is how many events of a user the status page shows.
const eventsOnPage = 20

// explainUser is what poller explain -o json writes about a user, put together by this process.
func (p *parts) explainUser(ctx context.Context, id uint32, user string) (any, error) {
	a := p.apps.find(id)
	if a == nil {
		return nil, page.ErrUnknown
	}
	c := explainCmd{User: user, App: id, Limit: eventsOnPage}
	r, err := c.read(ctx, a.ledger, id)
	if nobody := (*nobodyError)(nil); errors.As(err, &nobody) {
		return nil, fmt.Errorf("%w: %w", page.ErrUnknown, err)
	}
	if err != nil {
		return nil, err
	}
	hold := a.tuned.Load().recording.Hold
	r.hold = holdConfig{Offline: hold.Offline, Online: hold.Online}
	if r.UserNo > 0 {
		r.Daemon = explainDaemon{URL: listenerURL(p.cfg.HTTP.Listen)}
		if r.Daemon.Story, err = a.explain(ctx, p.me, user); err != nil {
			r.Daemon.Why = err.Error()
		}
		r.placedBy(r.search(ctx, a.stream))
	}
	r.Summary = r.story()
	return r, nil
}
