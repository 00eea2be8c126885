// Command follow prints who is online, and then every change: the program of the README. It imports
// nothing of the poller but presence/follow.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence/follow"
)

func main() {
	nc := must(nats.Connect(nats.DefaultURL, nats.MaxReconnects(-1)))
	js := must(jetstream.New(nc))
	follower := must(follow.New(js, follow.Config{App: 1234567890}))
	log.Fatal(follower.Run(context.Background(), func(_ context.Context, item follow.Item) error {
		fmt.Println(item.What, item.Event.User.ID, item.Event.To)
		return nil
	}))
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
