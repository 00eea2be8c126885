package relay

import (
	"context"
	"slices"

	"github.com/zim-presence/poller/presence"
)

// The ranks in which messages are given up, the lowest first.
const (
	rankStarted = iota
	rankFinished
	rankOther
)

func rank(c presence.Control) int {
	sweep, is := c.(*presence.SweepTold)
	switch {
	case !is:
		return rankOther
	case sweep.Finished():
		return rankFinished
	}
	return rankStarted
}

// stir wakes who waits. The lock is held.
func (t *Teller) stir() {
	if t.more != nil {
		close(t.more)
		t.more = nil
	}
}

// giveUp takes one out of the queue that will never be told. The lock is held.
func (t *Teller) giveUp(i int) {
	if t.takeOut(i); t.gaveUp == 0 {
		t.Log.Warn().Int("waiting", len(t.queue)).Msg("control messages are given up, the beginnings of sweeps first")
	}
	t.gaveUp++
	if t.GivenUp != nil {
		t.GivenUp()
	}
}

// least is the oldest of the lowest rank. The lock is held.
func (t *Teller) least() int {
	least := 0
	for i := range t.queue {
		if t.queue[i].rank < t.queue[least].rank {
			least = i
		}
	}
	return least
}

func (t *Teller) takeOut(i int) { t.queue = slices.Delete(t.queue, i, i+1) }

// first returns the oldest message when it may be told. It waits for that, unless the
// term has ended: then it returns the oldest that may.
func (t *Teller) first(ctx context.Context) (presence.Control, bool) {
	for {
		t.mu.Lock()
		if t.ended {
			t.skipUnready()
		}
		if len(t.queue) > 0 && t.queue[0].ready {
			defer t.mu.Unlock()
			return t.queue[0].Control, true
		}
		if t.ended {
			t.mu.Unlock()
			return nil, false
		}
		if t.more == nil {
			t.more = make(chan struct{})
		}
		more := t.more
		t.mu.Unlock()
		select {
		case <-more:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// skipUnready gives up what nobody will make ready any more. The lock is held.
func (t *Teller) skipUnready() {
	for len(t.queue) > 0 && !t.queue[0].ready {
		t.giveUp(0)
	}
}

// remove takes out a message that was told, or never can be, unless it was given up
// meanwhile.
func (t *Teller) remove(c presence.Control, lost bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 || t.queue[0].Control != c {
		return
	}
	if lost {
		t.giveUp(0)
		return
	}
	t.takeOut(0)
	if t.gaveUp > 0 {
		t.Log.Info().Int("given_up", t.gaveUp).Msg("the control stream goes on behind messages that were given up")
		t.gaveUp = 0
	}
}

func (t *Teller) waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.queue)
}

// judge says once what is wrong, and once that it is over.
func (t *Teller) judge(err error) {
	switch {
	case err != nil:
		if t.Failed != nil {
			t.Failed(err)
		}
		if !t.trouble {
			t.Log.Warn().Err(err).Msg("sweeps, incidents and the lease cannot be told on the control stream; the events go on")
		}
		t.trouble = true
	case t.trouble:
		t.trouble = false
		t.Log.Info().Msg("the control stream is told again")
	}
}
