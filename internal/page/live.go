package page

import (
	"errors"
	"sync"
	"time"

	"github.com/zim-presence/poller/presence"
)

// What bounds the live list.
const (
	// MostBrowsers is how many look at it at a time.
	MostBrowsers = 32
	// kept is how many events wait for browsers, of all apps together: one that is
	// further behind has passed over the rest.
	kept = 8192
	// atOnce is how many are copied for a browser while nobody can put one.
	atOnce = 256
	// shownBefore is how many a browser is shown that has just come.
	shownBefore = 200
)

// errFull and errClosed say why a browser is not taken.
var (
	errFull   = errors.New("too many browsers look at the live list already")
	errClosed = errors.New("the process is stopping")
)

// Live hands the events that were told to browsers. Whoever tells puts them into a
// ring and is done; each browser reads behind a place of its own when it has the
// time, so that none is waited for. Its methods may be called from any goroutine.
//
//	Put ─→ ring of the newest 8,192 ─┬─→ browser, four times a second
//	   └─→ newest 200 of the app     └─→ browser that does not read: passed over
type Live struct {
	patience time.Duration // with a browser that does not read what it is sent

	mu       sync.Mutex // guards all below; held for the copying of some hundred events at the most
	all      ring
	newest   map[uint32]*ring // by app
	browsers map[*browser]struct{}
	closed   bool
}

// told is an event as it is kept. What is shown is made of it by who shows it.
type told struct {
	user     string
	seq      int64
	observed int64 // µs since 1970
	after    int64 // the same; meaningless without hasAfter
	app      uint32
	delay    float32 // seconds
	hasAfter bool
	kind     presence.Kind // 0: forgotten
	from, to presence.Status
	detail   presence.Detail
}

// NewLive returns a live list without an event.
func NewLive() *Live {
	return &Live{patience: writeLimit, all: ring{most: kept}, newest: map[uint32]*ring{}, browsers: map[*browser]struct{}{}}
}

// Put adds an event that was told just now, so long after it was known. It waits for
// no browser.
func (l *Live) Put(e *presence.Event, delay time.Duration) {
	t := told{
		app: e.AppID, kind: e.Kind, from: e.From, to: e.To, detail: e.Detail, delay: float32(delay.Seconds()), seq: e.Seq,
		observed: e.ObservedAt.UnixMicro(), after: e.After.UnixMicro(), hasAfter: !e.After.IsZero(), user: e.User.ID,
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all.add(t)
	of := l.newest[t.app]
	if of == nil {
		of = &ring{most: shownBefore}
		l.newest[t.app] = of
	}
	of.add(t)
}

// Forget drops every event of an app: none is shown any more. It is for the end of a
// term. Who is erased is erased under another process's lease, and has no name here
// afterwards.
func (l *Live) Forget(app uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.newest, app)
	for i := range l.all.events {
		if t := &l.all.events[i]; t.app == app {
			*t = told{app: app, seq: t.seq}
		}
	}
}

// Close ends the list of every browser, and takes no other. It waits for none.
func (l *Live) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for b := range l.browsers {
		b.end()
	}
}

// join takes a browser, whose list begins with the next event that is put. Of one
// app the newest before are returned.
func (l *Live) join(b *browser, app uint32) (before []told, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, errClosed
	case len(l.browsers) >= MostBrowsers:
		return nil, errFull
	}
	l.browsers[b] = struct{}{}
	b.next = l.all.next
	if of := l.newest[app]; of != nil {
		before, _ = of.from(of.first(), nil, shownBefore)
	}
	return before, nil
}

func (l *Live) leave(b *browser) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.browsers, b)
}

// read copies events from a place on into a buffer, and returns them, the place
// behind them, and how many before them are gone already.
func (l *Live) read(next int64, buffer []told) (events []told, behind, gone int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := max(next, l.all.first())
	events, behind = l.all.from(at, buffer[:0], cap(buffer))
	return events, behind, at - next
}
