package relay

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/presence"
)

// Now has something told whatever the events are.
const Now = -1

const (
	// mostUntold is how many messages wait to be told, while NATS is away or the
	// events are behind.
	mostUntold = 1000
	// lastTell bounds what a term that ends waits for its last messages.
	lastTell = time.Second
	// The waits after a failure, doubling from the first to the last. Nothing of
	// importance hangs on it, and it may be that a permission is missing for good.
	firstTellerPause, lastTellerPause = time.Second, 30 * time.Second
)

// Control is where is told what has to be known of the event stream.
type Control interface {
	// Ready makes the stream where it is missing; an error says why it cannot be used.
	Ready(ctx context.Context) error
	// Tell tells a message. Told again soon, it is still there once. With lost it can
	// never be told.
	Tell(ctx context.Context, c presence.Control) (lost bool, err error)
}

// Teller tells on the control stream, for one term of a lease: in the order in which
// it was put, and what has to follow events not before the relay has told these. It is
// beside the events: whatever goes wrong here holds up nothing there.
//
//	Put ─→ queue ─→ is the relay as far? ─→ told
//	                    ↑
//	           Stands: compared, or acked
//
// While it cannot be told the queue is bounded: the beginnings of sweeps are given up
// first, then their ends, the oldest of each first. All fields are required but the
// callbacks.
type Teller struct {
	Control Control
	// Mark is that of the term; its N is not looked at.
	Mark presence.Mark
	Log  zerolog.Logger
	// Failed is called each time that something could not be told, and GivenUp with
	// each message that never will be. Neither may call the teller.
	Failed  func(err error)
	GivenUp func()

	mu     sync.Mutex // guards the rest of this group
	put    int64      // how many were
	queue  []untold
	gaveUp int           // since something was told
	more   chan struct{} // closed, and made anew, when the queue or what may be told has changed
	ended  bool          // nothing is waited for any more

	trouble, ready bool // owned by the one that runs
}

// untold waits to be told.
type untold struct {
	presence.Control
	rank   int
	behind int64 // the event that it has to follow
	ready  bool  // the relay was as far since it was put
}

// Put has told what of makes of the mark that it gets, when the relay has told every
// event up to behind, and what was put before is told. It may be called from any
// goroutine and never waits. [Now] stands for no event.
func (t *Teller) Put(behind int64, of func(presence.Mark) presence.Control) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put++
	mark := t.Mark
	mark.N = t.put
	message := of(mark)
	t.queue = append(t.queue, untold{message, rank(message), behind, behind <= Now})
	if len(t.queue) > mostUntold {
		t.giveUp(t.least())
	}
	t.stir()
}

// Stands says that the event stream has everything up to seq, as was seen just now.
// What was put before is told if it is content with that.
func (t *Teller) Stands(seq int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	stirred := false
	for i := range t.queue {
		if m := &t.queue[i]; !m.ready && m.behind <= seq {
			m.ready, stirred = true, true
		}
	}
	if stirred {
		t.stir()
	}
}

// Run tells until ctx ends.
func (t *Teller) Run(ctx context.Context) {
	pause := firstTellerPause
	for ctx.Err() == nil {
		err := t.next(ctx)
		if err == nil {
			pause = firstTellerPause
			continue
		}
		if ctx.Err() == nil {
			wait(ctx, pause)
			pause = min(2*pause, lastTellerPause)
		}
	}
}

// End tells what may be told by now, for a second at the most and as long as nothing
// goes wrong. To be called when Run has returned, and nothing is put any more. ctx has
// to end with the lease: nobody else's term is told of.
func (t *Teller) End(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastTell)
	defer cancel()
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	for ctx.Err() == nil && t.waiting() > 0 {
		if err := t.next(ctx); err != nil {
			break
		}
	}
	if left := t.waiting(); left > 0 {
		t.Log.Debug().Int("untold", left).Msg("the term ends with control messages that were not told")
	}
}

// next waits for one that may be told, and tells it.
func (t *Teller) next(ctx context.Context) error {
	m, ok := t.first(ctx)
	if !ok {
		return nil
	}
	lost, err := t.tell(ctx, m)
	if err != nil && ctx.Err() != nil {
		return err // asked to stop
	}
	t.judge(err)
	if err == nil || lost {
		t.remove(m, lost)
	}
	if lost {
		return nil // the next one may be better
	}
	return err
}

func (t *Teller) tell(ctx context.Context, m presence.Control) (lost bool, err error) {
	if !t.ready {
		if err := t.Control.Ready(ctx); err != nil {
			return false, err
		}
		t.ready = true
	}
	if lost, err = t.Control.Tell(ctx, m); err != nil && !lost {
		t.ready = false
	}
	return lost, err
}
