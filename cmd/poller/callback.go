package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/zim-presence/poller/internal/callback"
	"github.com/zim-presence/poller/internal/poll"
	"github.com/zim-presence/poller/internal/stream"
)

// What becomes of a callback between the door and the recorder, as metrics call it.
const (
	callbackFull     = string(poll.HintFull)
	callbackHandedOn = "handed_on"
	callbackUnheard  = "unheard"
)

// callbackSecrets are by which secrets the callbacks of apps are signed; empty for none.
func callbackSecrets(apps []appConfig) map[uint32]string {
	secrets := map[uint32]string{}
	for _, a := range apps {
		secrets[a.AppID] = string(a.CallbackSecret)
	}
	return secrets
}

// newReceiver returns what takes callbacks for the apps of this process. Its secrets may
// be set anew while it does.
func (p *parts) newReceiver() *callback.Receiver {
	r := callback.New(p.takeHint, func(app uint32, why callback.Outcome) {
		if it := p.apps.find(app); it != nil {
			it.metrics.Callback(string(why))
		} else {
			p.metrics.StrangeCallback(string(why))
		}
	})
	r.SetSecrets(callbackSecrets(p.cfg.Apps))
	return r
}

// takeCallbacks takes callbacks over HTTP, if it is to.
func (p *parts) takeCallbacks(ctx context.Context, fail context.CancelCauseFunc) {
	if p.cfg.Callback.Listen == "" {
		return
	}
	err := callback.Serve(ctx, p.cfg.Callback.Listen, p.callbacks, func(addr string) {
		p.log.Info().Str("addr", addr).Msg("callbacks are taken")
	})
	if err != nil {
		fail(fmt.Errorf("callback.listen (POLLER_CALLBACK_LISTEN): %w", err))
	}
}

// takeHint passes a hint on to whoever records its app: here, or in another replica.
func (p *parts) takeHint(h callback.Hint) (taken bool) {
	a := p.apps.find(h.App)
	if a == nil || a.hints == nil {
		return false // it has just been taken out
	}
	switch err := a.hints.Put(poll.Hint{ID: h.User, Online: h.Online}); {
	case err == nil:
		return true
	case errors.Is(err, poll.ErrTooManyHints):
		a.metrics.Callback(callbackFull)
		return true // once more would be one too many again
	}
	if err := stream.HandHintOn(p.bus.Conn, h.App, h.User, h.Online); err != nil {
		a.metrics.Callback(callbackUnheard)
		return false
	}
	a.metrics.Callback(callbackHandedOn)
	return true
}

// hearHints hears, for a term of the lease, what other replicas hand on. Without it they
// speak in vain, and nothing else is amiss.
func (a *app) hearHints() (stop func()) {
	if a.hints == nil {
		return func() {}
	}
	stop, err := stream.HearHints(a.bus, a.id, func(user string, online bool) {
		if err := a.hints.Put(poll.Hint{ID: user, Online: online}); errors.Is(err, poll.ErrTooManyHints) {
			a.metrics.Callback(callbackFull)
		}
	})
	if err != nil {
		a.log.Warn().Err(err).Msg("callbacks that reach another replica are not heard in this term")
		return func() {}
	}
	return stop
}
