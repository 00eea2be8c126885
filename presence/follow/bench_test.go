package follow_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/zim-presence/poller/presence"
	"github.com/zim-presence/poller/presence/follow"
)

// BenchmarkBootstrap reads the state of a million users, from New to Current, with
// the server on the same cores:
//
//	go test -run '^$' -bench Bootstrap -benchtime 2x ./presence/follow
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
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s(target<10)")
}
