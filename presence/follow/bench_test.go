package follow_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/zim-presence/poller/presence"
	"github.com/zim-presence/poller/presence/follow"
)

// bootstrapWithin is the target for a million users, on two cores that the server
// shares.
const bootstrapWithin = 10 * time.Second

// BenchmarkBootstrap reads the state of a million users, from New to Current:
//
//	go test -run '^$' -bench Bootstrap -benchtime 3x ./presence/follow
func BenchmarkBootstrap(b *testing.B) {
	const users = 1_000_000
	r := newRig(b)
	for first := 0; first < users; first += 50_000 {
		events := make([]presence.Event, 0, 50_000)
		for i := first; i < first+50_000; i++ {
			events = append(events, r.change(fmt.Sprintf("user-%06d", i), presence.Status(1+i%2)))
		}
		r.told(events...)
	}
	r.settled()
	js := r.connect()
	enough := errors.New("enough")
	b.ReportAllocs()
	for b.Loop() {
		status := make(map[string]presence.Status)
		f, err := follow.New(js, follow.Config{App: app})
		if err != nil {
			b.Fatal(err)
		}
		err = f.Run(b.Context(), func(_ context.Context, item follow.Item) error {
			if item.What == follow.Current {
				return enough
			}
			if item.What == follow.State {
				status[item.Event.User.ID] = item.Event.To
			}
			return nil
		})
		if !errors.Is(err, enough) || len(status) != users {
			b.Fatalf("%d users, %v", len(status), err)
		}
	}
	took := b.Elapsed() / time.Duration(b.N)
	b.ReportMetric(float64(users)/took.Seconds(), "users/s")
	b.Logf("%d users in %s; target: under %s", users, took.Round(10*time.Millisecond), bootstrapWithin)
	if took > bootstrapWithin {
		b.Errorf("slower than the target")
	}
}
