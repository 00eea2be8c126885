package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// vacantPatience is how long a command waits for an embedded part that nobody runs: a daemon that is started again, or
// that takes over, is there within.
const vacantPatience = 10 * time.Second

// vacantError says that nobody runs an embedded part any more.
type vacantError struct {
	part string
	ours bool
}

func (e vacantError) Error() string {
	if e.ours {
		return "the embedded " + e.part + " has ended"
	}
	return "the embedded " + e.part + " belonged to another process, which has ended: start this command again"
}

// vacant returns an error while nobody runs the embedded Postgres.
func (db *database) vacant() error {
	if db.embedded == nil || !db.embedded.Vacant() {
		return nil
	}
	return vacantError{"postgres", db.embedded.Owned()}
}

// vacant returns an error while nobody runs the embedded NATS.
func (b *bus) vacant() error {
	if b.embedded == nil || !b.embedded.Vacant() {
		return nil
	}
	return vacantError{"nats", b.embedded.Owned()}
}

// attend watches over what a command uses until the returned function is called: when it has been vacant for a while,
// the command's context ends. An error that the command comes to because of that, or while it is vacant, says so.
func (g *globals) attend(err *error, vacant func() error) (leave func()) {
	left := make(chan struct{})
	var why error // of the goroutine, until it has ended
	var attending sync.WaitGroup
	attending.Go(func() {
		if why = untilVacant(left, vacant); why != nil {
			g.lose(why)
		}
	})
	return func() {
		close(left)
		attending.Wait()
		if why == nil {
			why = vacant()
		}
		if _, told := errors.AsType[vacantError](*err); *err != nil && why != nil && !told {
			*err = fmt.Errorf("%w (%w)", why, *err)
		}
	}
}

// untilVacant returns why when it has been vacant for longer than the patience, or nil when left is closed.
func untilVacant(left <-chan struct{}, vacant func() error) error {
	const every = 500 * time.Millisecond
	for since := time.Now(); ; {
		select {
		case <-left:
			return nil
		case <-time.After(every):
		}
		why := vacant()
		if why == nil {
			since = time.Now()
		} else if time.Since(since) > vacantPatience {
			return why
		}
	}
}
