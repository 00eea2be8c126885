package poll

import (
	"context"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/zim-presence/poller/presence"
)

// flights is an asker with many requests in flight, each in a goroutine, that
// goes through the users twice, as the real one does.
type flights struct{ n int }

func (f flights) Ask(ctx context.Context, users iter.Seq[presence.User], answers chan<- presence.Answer) (Asked, error) {
	var flying sync.WaitGroup
	room := make(chan struct{}, f.n)
	for half := range uint32(2) {
		for u := range users {
			if u.No%2 != half {
				continue
			}
			room <- struct{}{}
			flying.Go(func() {
				select {
				case answers <- answer(presence.Status(1+u.No%2), u):
				case <-ctx.Done():
				}
				<-room
			})
		}
	}
	flying.Wait()
	return Asked{Requests: 1}, context.Cause(ctx)
}

func (flights) Confirm(context.Context, []presence.User, chan<- presence.Answer) (Asked, error) {
	return Asked{}, errFault
}

// Many answer while a slow ledger commits, and somebody looks on: for the race
// detector, and so that nobody is lost on the way.
func TestManyAnswerASlowLedger(t *testing.T) {
	const users = 3000
	b, l := newBook(), newList(names(users)...)
	ctx, cancel := context.WithCancel(t.Context())
	r := recorder(t, l, flights{50}, b)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	looked := make(chan struct{})
	watching.Go(func() {
		for ctx.Err() == nil {
			if err := r.Overdue(time.Now(), 1<<62); err != nil {
				t.Error(err)
			}
			select {
			case looked <- struct{}{}:
			case <-ctx.Done():
			}
		}
	})
	b.fault = func(string) (bool, error) {
		<-looked // as slow as somebody else
		return true, nil
	}
	for range 2 {
		report := mustSweep(t, r, b)
		if report.Seen != users || len(b.events) != users {
			t.Errorf("%d seen and %d events, want %d of both", report.Seen, len(b.events), users)
		}
	}
}
