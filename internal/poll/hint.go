package poll

import (
	"errors"
	"sync"
)

// mostHints is how many hints wait for the goroutine that records, and how many users
// are asked about for hints, at the most.
const mostHints = 10_000

// Hint is that a user is said to have come, or to have gone, by whoever has no proof of
// it. It decides nothing: it has the user asked about soon, and what is then answered is
// as good as any answer.
type Hint struct {
	ID     string
	Online bool
}

// Errors of [Hints.Put].
var (
	// ErrNotRecording: no term runs here.
	ErrNotRecording = errors.New("the app is not recorded here")
	// ErrTooManyHints: so many wait already that this one is passed over.
	ErrTooManyHints = errors.New("too many hints wait")
)

// Hints is where hints wait for the goroutine that records. It outlives the terms of an
// app. Its methods may be called from any goroutine, and never wait.
type Hints struct {
	woken chan struct{}

	mu      sync.Mutex // guards all below
	taken   bool       // a term runs
	waiting []Hint
}

// NewHints returns hints that no term takes yet.
func NewHints() *Hints { return &Hints{woken: make(chan struct{}, 1)} }

// Put has a hint wait, if a term runs, and not too many wait.
func (h *Hints) Put(hint Hint) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.taken:
		return ErrNotRecording
	case len(h.waiting) >= mostHints:
		return ErrTooManyHints
	}
	h.waiting = append(h.waiting, hint)
	select {
	case h.woken <- struct{}{}:
	default: // it will wake anyway
	}
	return nil
}

// take returns what waits.
func (h *Hints) take() []Hint {
	h.mu.Lock()
	defer h.mu.Unlock()
	waiting := h.waiting
	h.waiting = nil
	return waiting
}

// open and shut begin and end a term; shut returns what nobody will take.
func (h *Hints) open() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken = true
}

func (h *Hints) shut() []Hint {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken = false
	waiting := h.waiting
	h.waiting = nil
	return waiting
}
