package page

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"
)

// The pace of a live list.
const (
	tick       = 250 * time.Millisecond
	mostShown  = 100              // events of one batch
	heartbeat  = 15 * time.Second // when nothing is told
	writeLimit = 10 * time.Second // of one batch, to a browser that does not read
)

// errEnded says that the list of a browser was ended by us.
var errEnded = errors.New("the live list has ended")

// browser is one that looks at the live list. One goroutine owns it; end may be
// called by any.
type browser struct {
	live   *Live
	only   filter
	next   int64 // place in the ring
	buffer []told
	said   time.Time // when something was written last

	out     http.ResponseWriter
	control *http.ResponseController
	cancel  context.CancelFunc

	mu    sync.Mutex // guards ended, and the deadline of a write
	ended bool
}

// serve shows a browser what is told, until it goes, or the list is closed.
func (l *Live) serve(w http.ResponseWriter, r *http.Request, only filter) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	b := &browser{live: l, only: only, buffer: make([]told, 0, atOnce), out: w, control: http.NewResponseController(w), cancel: cancel}
	before, err := l.join(b, only.app)
	if err != nil {
		w.Header().Set("Retry-After", "10")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer l.leave(b)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would wait for more
	if r.Method == http.MethodHead {
		return
	}
	if only.app == 0 {
		before = b.past()
	}
	if err := b.write(b.batch(before, shownBefore, true)); err != nil {
		return
	}
	b.follow(ctx)
}

// end ends the list at once, also one that waits for the browser to read.
func (b *browser) end() {
	b.cancel()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	_ = b.control.SetWriteDeadline(time.Now())
}

// follow writes what is put, until something ends it.
func (b *browser) follow(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		batch := b.gather()
		var err error
		switch {
		case len(batch.Events) > 0 || batch.Passed > 0:
			err = b.write(batch)
		case time.Since(b.said) > heartbeat:
			err = b.send([]byte(":\n\n"))
		}
		if err != nil {
			return
		}
	}
}

// past are all events that the ring has from before the browser came.
func (b *browser) past() (before []told) {
	newest := ring{most: shownBefore}
	for next := int64(0); next < b.next; {
		events, behind, _ := b.live.read(next, b.buffer[:0:min(int64(cap(b.buffer)), b.next-next)])
		if len(events) == 0 || behind > b.next {
			break // they are gone
		}
		for i := range events {
			if b.only.takes(&events[i]) {
				newest.add(events[i])
			}
		}
		next = behind
	}
	before, _ = newest.from(newest.first(), nil, shownBefore)
	return before
}

// gather reads what was put since, and keeps the newest of it.
func (b *browser) gather() Batch {
	newest, passed := ring{most: mostShown}, 0
	for {
		events, behind, gone := b.live.read(b.next, b.buffer)
		passed += int(gone)
		b.next = behind
		for i := range events {
			switch t := &events[i]; {
			case b.only.takes(t):
				newest.add(*t)
			case t.kind == 0:
				passed++
			}
		}
		if len(events) < cap(b.buffer) {
			break
		}
	}
	shown, _ := newest.from(newest.first(), nil, mostShown)
	batch := b.batch(shown, mostShown, false)
	batch.Passed = passed + int(newest.first())
	return batch
}

// batch is what is shown of events: of those that the browser wants the newest.
func (b *browser) batch(events []told, most int, before bool) Batch {
	batch := Batch{Events: []Told{}, Before: before}
	for i := range events {
		if b.only.takes(&events[i]) {
			batch.Events = append(batch.Events, b.only.shown(&events[i]))
		}
	}
	batch.Events = batch.Events[max(0, len(batch.Events)-most):]
	return batch
}

// write sends a batch.
func (b *browser) write(batch Batch) error {
	data, err := json.Marshal(batch)
	if err != nil {
		return err
	}
	text := make([]byte, 0, len(data)+20)
	text = append(text, "event: told\ndata: "...)
	text = append(text, data...)
	return b.send(append(text, "\n\n"...))
}

func (b *browser) send(text []byte) error {
	if err := b.arm(); err != nil {
		return err
	}
	if _, err := b.out.Write(text); err != nil {
		return err
	}
	b.said = time.Now()
	return b.control.Flush()
}

// arm bounds the next write.
func (b *browser) arm() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return errEnded
	}
	return b.control.SetWriteDeadline(time.Now().Add(b.live.patience))
}
