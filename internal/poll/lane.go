package poll

import (
	"context"
	"time"

	"github.com/zim-presence/poller/presence"
)

const (
	// confirmAtOnce is how many users are asked again at the most with one call.
	confirmAtOnce = 100
	// gatherFor is for how long others are waited for when somebody is due to be
	// asked again, so that one request serves them all.
	gatherFor = 250 * time.Millisecond
)

// lane is where users are asked again beside the sweep, and between sweeps: one
// call at a time. The goroutine that records owns it; while a call is under way
// another one asks, and is waited for at the end of the term.
//
//	due ─→ gather ─→ Confirm ─→ answers ─→ compare ─→ commit
//	 ↑                 └─→ over: who was not answered is due again, later each time
//	 └────────────────────────┘
type lane struct{ flight *flight }

// flight is a call under way.
type flight struct {
	users   []presence.User
	answers chan presence.Answer // closed when the call is over
	cancel  context.CancelFunc
	sent    int // requests; it and err are set before that
	err     error
	hinted  []presence.User // of users, whom hints are about
	began   time.Time
}

// answers brings what was answered, and is closed when the call is over. It is nil
// while none is under way.
func (l *lane) answers() <-chan presence.Answer {
	if l.flight == nil {
		return nil
	}
	return l.flight.answers
}

// fly has the users asked again. None may be under way.
func (l *lane) fly(ctx context.Context, zim Asker, users []presence.User) {
	ctx, cancel := context.WithCancel(ctx)
	f := &flight{users: users, answers: make(chan presence.Answer, answersAhead), cancel: cancel}
	l.flight = f
	go func() {
		defer close(f.answers)
		asked, err := zim.Confirm(ctx, users, f.answers)
		f.sent = asked.Requests
		if f.err = err; err == nil {
			f.err = asked.Failure
		}
	}()
}

// land ends a call that is over, and returns it.
func (l *lane) land() *flight {
	f := l.flight
	l.flight = nil
	f.cancel()
	return f
}

// stop breaks off the call that is under way, if one is, and waits for its end.
// What it was about is due again in the next term.
func (l *lane) stop() {
	if l.flight == nil {
		return
	}
	l.flight.cancel()
	for range l.flight.answers {
	}
	l.flight = nil
}
