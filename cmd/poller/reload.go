package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
)

// reloading is how a daemon is told to read its configuration again. Its zero value never does.
type reloading struct {
	// wanted brings a signal each time; those that come while one is under way are one more.
	wanted <-chan os.Signal
	// read reads the configuration; its error is faults.
	read func() (config, error)
	log  *liveLog
}

// reloads reads the configuration again whenever that is wanted, until ctx ends.
//
//	wanted ─→ read ─┬─→ faults: each is logged, and all goes on as before
//	                └─→ new apps are wired ─→ what can change does ─→ new apps are launched ─→ apps that are gone end
func (p *parts) reloads(ctx context.Context, how reloading) {
	for {
		select {
		case <-how.wanted:
		case <-ctx.Done():
			return
		}
		done := p.systemd.reload()
		if err := p.reload(ctx, how); err != nil {
			p.metrics.ReloadRefused()
			p.lookout.refused.Store(true)
			p.refuse(err)
		}
		done()
	}
}

// refuse says what is wrong with a configuration that was read again.
func (p *parts) refuse(err error) {
	all := faults(nil)
	errors.As(err, &all)
	for _, f := range all {
		p.log.Error().Str("key", f.Key).Str("file", f.File).Int("line", f.Line).Str("env", f.Env).Str("err", f.Message).
			Msg("a fault in the configuration that was read again")
	}
	last := p.log.Error().Int("faults", len(all))
	if all == nil {
		last = last.Err(err)
	}
	last.Msg("the configuration was not reloaded; the one before stays in force")
}

// reload reads the configuration and applies what can be applied. After an error all is as before.
func (p *parts) reload(ctx context.Context, how reloading) error {
	read, err := how.read()
	if err != nil {
		return err
	}
	before := p.now()
	cfg := read.inForce(before)
	m, err := p.prepare(ctx, cfg)
	if err != nil {
		return err
	}
	p.cfgNow.Store(&cfg)
	p.callbacks.SetSecrets(callbackSecrets(cfg.Apps))
	how.log.set(cfg.Log)
	changed := before.changed(read)
	applied, waiting := slices.Clone(changed), slices.Clone(changed)
	applied = slices.DeleteFunc(applied, func(key string) bool { return !live(key) })
	waiting = slices.DeleteFunc(waiting, live)
	if err := p.move(ctx, m); err != nil {
		return err // the settings of a client that the configuration lets pass and the client does not: a fault of ours
	}
	p.metrics.Reloaded(len(waiting))
	p.lookout.refused.Store(false)
	p.tellReloaded(changed, applied, waiting, m)
	return nil
}

func (p *parts) tellReloaded(changed, applied, waiting []string, m *move) {
	if len(changed) == 0 && len(m.added)+len(m.gone) == 0 {
		p.log.Info().Msg("configuration reloaded: nothing has changed")
		return
	}
	line := p.log.Info()
	if len(waiting) > 0 {
		line = p.log.Warn() // somebody has to do something
	}
	var added []uint32
	for _, a := range m.added {
		added = append(added, a.id)
	}
	line.Strs("changed", changed).Strs("applied", applied).Strs("needs_restart", waiting).
		Uints32("apps_added", added).Uints32("apps_removed", m.gone).Msg("configuration reloaded")
}

// move is what another configuration makes of the apps, ready to be done.
type move struct {
	added []*app
	stay  map[*app]*tuning
	gone  []uint32
}

// prepare wires the apps that are new, and makes ready what those that stay go by, without changing anything that runs.
func (p *parts) prepare(ctx context.Context, cfg config) (_ *move, err error) {
	m := &move{stay: map[*app]*tuning{}, gone: p.apps.ids()}
	defer func() {
		if err != nil {
			for _, a := range m.added {
				p.forget(a)
			}
		}
	}()
	for _, one := range cfg.Apps {
		m.gone = slices.DeleteFunc(m.gone, func(id uint32) bool { return id == one.AppID })
		if stays := p.apps.find(one.AppID); stays != nil {
			if m.stay[stays], err = newTuning(cfg, one); err != nil {
				return nil, err
			}
			continue
		}
		it, err := p.wireLater(ctx, cfg, one)
		if err != nil {
			return nil, err
		}
		m.added = append(m.added, it)
	}
	return m, nil
}

// wireLater wires an app that was not there at the start: it brings its own connections to the database.
func (p *parts) wireLater(ctx context.Context, cfg config, one appConfig) (*app, error) {
	db, err := p.db.apart(ctx)
	if err != nil {
		return nil, err
	}
	it, err := p.wire(cfg, one, db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	it.own = db
	return it, nil
}

// move does it. Those that are gone end their terms as when the program stops, all at once.
func (p *parts) move(ctx context.Context, m *move) error {
	var errs []error
	for a, t := range m.stay {
		errs = append(errs, a.tune(t))
	}
	for _, a := range m.added {
		p.apps.add(a)
		p.apps.launch(ctx, a.id)
	}
	var ending sync.WaitGroup
	for _, id := range m.gone {
		ending.Go(func() {
			if a := p.apps.remove(id); a != nil {
				p.forget(a)
			}
		})
	}
	ending.Wait()
	return errors.Join(errs...)
}

// forget closes an app that polls no more, and takes back what the process says of it.
func (p *parts) forget(a *app) {
	a.close()
	a.dropChecks()
	for _, subject := range []string{"lease", "ledger"} {
		a.checks.Remove(a.check(subject))
	}
	p.metrics.Forget(a.id)
}

// now is the configuration in force.
func (p *parts) now() config { return *p.cfgNow.Load() }
