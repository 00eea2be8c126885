package main

import (
	"context"
	"iter"
	"slices"
	"sync"
)

// crew is the apps that this process is configured for. They come and go while it runs: each has a context and a
// goroutine of its own, in which it goes for its lease and polls. Its methods may be called from any goroutine, but
// launch and remove of one app not at the same time.
//
//	add ─→ everybody sees it ─→ launch ─→ it polls ─→ remove: nobody sees it ─→ its term ends ─→ closed
type crew struct {
	mu      sync.Mutex // guards all below
	members []*member  // in the order in which they came
	begun   bool       // who is in is launched
	over    bool       // nobody is launched any more

	visits sync.RWMutex // held, for reading, by whoever does something to each app
}

// member is one app of the crew.
type member struct {
	app  *app
	stop context.CancelFunc // nil until it is launched
	done chan struct{}      // closed when it polls no more
}

// all returns the apps that there are at the moment, in the order in which they came. The list is the caller's own.
func (c *crew) all() []*app {
	c.mu.Lock()
	defer c.mu.Unlock()
	apps := make([]*app, 0, len(c.members))
	for _, m := range c.members {
		apps = append(apps, m.app)
	}
	return apps
}

// polled counts the apps that are polled here at the moment, of all.
func (c *crew) polled() (here, all int) {
	apps := c.all()
	for _, a := range apps {
		if a.held() {
			here++
		}
	}
	return here, len(apps)
}

// ids returns the ids of all apps, in the order in which they came.
func (c *crew) ids() []uint32 {
	var ids []uint32
	for _, a := range c.all() {
		ids = append(ids, a.id)
	}
	return ids
}

// find returns the app with the id, nil when it is not polled here.
func (c *crew) find(id uint32) *app {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.index(id); i >= 0 {
		return c.members[i].app
	}
	return nil
}

// index wants the lock.
func (c *crew) index(id uint32) int {
	return slices.IndexFunc(c.members, func(m *member) bool { return m.app.id == id })
}

// add takes an app in, for everybody to see. It does nothing yet.
func (c *crew) add(a *app) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members = append(c.members, &member{app: a})
}

// begin launches everybody who is in.
func (c *crew) begin(ctx context.Context) {
	c.mu.Lock()
	c.begun = true
	c.mu.Unlock()
	for _, id := range c.ids() {
		c.launch(ctx, id)
	}
}

// launch has the app with the id go for its lease, and poll, until ctx ends or it is removed. It does
// nothing before the crew begins, and once it is waited for.
func (c *crew) launch(ctx context.Context, id uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.index(id)
	if i < 0 || !c.begun || c.over || c.members[i].stop != nil {
		return
	}
	m := c.members[i]
	ctx, m.stop = context.WithCancel(ctx)
	m.done = make(chan struct{})
	go func() {
		defer close(m.done)
		m.app.hold(ctx)
	}()
}

// each yields the apps to whoever does something to them: whoever was removed is left out, and a removal waits until
// nothing is done to anybody.
func (c *crew) each() iter.Seq[*app] {
	return func(yield func(*app) bool) {
		c.visits.RLock()
		defer c.visits.RUnlock()
		for _, a := range c.all() {
			if !yield(a) {
				return
			}
		}
	}
}

// remove takes the app with the id out, ends its term as when the program is asked to stop, and returns it, for the
// caller to close; nil for nobody. Nobody sees it any more while its term still ends.
func (c *crew) remove(id uint32) *app {
	c.mu.Lock()
	i := c.index(id)
	if i < 0 {
		c.mu.Unlock()
		return nil
	}
	m := c.members[i]
	c.members = slices.Delete(c.members, i, i+1)
	c.mu.Unlock()
	c.visits.Lock()
	c.visits.Unlock() //nolint:staticcheck // whoever looks at it still has done so
	m.end()
	return m.app
}

// wait ends every app, and returns when none polls any more. None is launched after that.
func (c *crew) wait() {
	c.mu.Lock()
	c.over = true
	members := slices.Clone(c.members)
	c.mu.Unlock()
	for _, m := range members {
		if m.stop != nil {
			m.stop()
		}
	}
	for _, m := range members {
		m.end()
	}
}

// close closes all apps. None may poll.
func (c *crew) close() {
	for _, a := range c.all() {
		a.close()
	}
}

// end has a member poll no more, if it does, and waits for that.
func (m *member) end() {
	if m.stop != nil {
		m.stop()
		<-m.done
	}
}
