package follow_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/local"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/presence"
	"github.com/zim-presence/poller/presence/follow"
)

// Who is online, kept up to date.
func Example() {
	demo := newDemo() // a NATS server, and a poller that has told three events
	defer demo.close()

	nc, err := nats.Connect(demo.url, nats.MaxReconnects(-1))
	must(err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(err)

	online := map[string]bool{}
	follower, err := follow.New(js, follow.Config{App: 1234567890})
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	err = follower.Run(ctx, func(_ context.Context, item follow.Item) error {
		e := item.Event
		switch item.What {
		case follow.Reset:
			clear(online)
		case follow.State:
			online[e.User.ID] = e.To == presence.Online
		case follow.Current:
			fmt.Println("as of event", item.Seq, "online:", yes(online))
			demo.tell("bob", presence.Online) // something happens
		case follow.Event:
			online[e.User.ID] = e.To == presence.Online
			fmt.Println(e.User.ID, "is", e.To, "now; online:", yes(online))
			cancel() // enough for an example
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// as of event 3 online: [alice carol]
	// bob is online now; online: [alice bob carol]
	// context canceled
}

// A program without a store of its own: the server keeps how far it has come. The
// second run is that of another process, later.
func ExampleConfig_durable() {
	demo := newDemo()
	defer demo.close()

	billing := func(events int) {
		js := demo.connect()
		defer js.Conn().Close()
		follower, err := follow.New(js, follow.Config{App: 1234567890, Durable: "billing"})
		must(err)
		ctx, cancel := context.WithCancel(context.Background())
		err = follower.Run(ctx, func(_ context.Context, item follow.Item) error {
			switch item.What {
			case follow.Current:
				fmt.Println("begins with the state as of event", item.Seq)
				demo.tell("bob", presence.Online, "alice", presence.Offline) // something happens
			case follow.Event:
				fmt.Println("event", item.Seq) // it counts as done when this function has returned
				events--
			}
			if events == 0 {
				cancel()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			log.Fatal(err)
		}
	}

	billing(2)
	fmt.Println("the program is away, and carol leaves")
	demo.tell("carol", presence.Offline)
	billing(1)
	// Output:
	// begins with the state as of event 3
	// event 4
	// event 5
	// the program is away, and carol leaves
	// event 6
}

// A program that keeps its own state stores the number together with it, and goes
// on behind that number. If it was away for too long, it begins again.
func ExampleConfig_after() {
	demo := newDemo()
	defer demo.close()
	stored := struct { // in the program's database
		seq    int64
		status map[string]presence.Status
	}{2, map[string]presence.Status{"alice": presence.Online, "bob": presence.Offline}}

	js := demo.connect()
	defer js.Conn().Close()
	follower, err := follow.New(js, follow.Config{App: 1234567890, After: stored.seq, OnGap: follow.BeginAgain})
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	err = follower.Run(ctx, func(_ context.Context, item follow.Item) error {
		// One transaction in a real program.
		switch item.What {
		case follow.Reset:
			clear(stored.status)
		case follow.State, follow.Event:
			stored.status[item.Event.User.ID] = item.Event.To
		}
		stored.seq = item.Seq
		if item.What == follow.Event {
			fmt.Println("stored:", stored.seq, stored.status)
			cancel()
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// stored: 3 map[alice:online bob:offline carol:online]
	// context canceled
}

// One user's events, and nobody else's.
func ExampleConfig_users() {
	demo := newDemo()
	defer demo.close()
	js := demo.connect()
	defer js.Conn().Close()

	follower, err := follow.New(js, follow.Config{App: 1234567890, Users: []string{"bob"}})
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	err = follower.Run(ctx, func(_ context.Context, item follow.Item) error {
		switch item.What {
		case follow.State:
			fmt.Println(item.Event.User.ID, "is", item.Event.To)
		case follow.Current:
			demo.tell("alice", presence.Offline, "bob", presence.Online)
		case follow.Event:
			fmt.Println(item.Event.User.ID, "is", item.Event.To, "now")
			cancel()
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// bob is offline
	// bob is online now
	// context canceled
}

// demo is a NATS server and a poller, for the examples.
type demo struct {
	url    string
	server *local.NATSServer
	nc     *nats.Conn
	dir    string
	stream *stream.Stream
	last   map[string]presence.Event
	seq    int64
}

func newDemo() *demo {
	dir, err := os.MkdirTemp("", "follow-example-*")
	must(err)
	server, err := local.OpenNATS(context.Background(), local.NATS{Dir: dir, Throwaway: true, Log: zerolog.Nop()})
	must(err)
	d := &demo{url: server.URL(), server: server, dir: dir, last: map[string]presence.Event{}}
	d.nc = d.connect().Conn()
	d.stream, err = stream.New(d.nc, stream.Config{AppID: 1234567890}, zerolog.Nop())
	must(err)
	_, err = d.stream.Ensure(context.Background())
	must(err)
	d.tell("alice", presence.Online, "bob", presence.Offline, "carol", presence.Online)
	return d
}

func (d *demo) connect() jetstream.JetStream {
	nc, err := nats.Connect(d.url, nats.MaxReconnects(-1))
	must(err)
	js, err := jetstream.New(nc)
	must(err)
	return js
}

// tell tells events: pairs of a user and a status.
func (d *demo) tell(pairs ...any) {
	for i := 0; i < len(pairs); i += 2 {
		user, to := pairs[i].(string), pairs[i+1].(presence.Status)
		last := d.last[user]
		kind, _ := presence.KindOf(last.To, to)
		e := presence.Event{AppID: 1234567890, Log: "7f3a90c2", Encoding: presence.EncodingV1, Transition: presence.Transition{
			Seq: d.seq + 1, PrevSeq: last.Seq, User: presence.User{ID: user}, Kind: kind, From: last.To, To: to,
			ObservedAt: time.Date(2026, 11, 22, 18, 0, int(d.seq), 0, time.UTC), Sweep: 1,
		}}
		_, err := d.stream.Append(context.Background(), uint64(d.seq), []presence.Event{e}, nil)
		must(err)
		d.seq, d.last[user] = e.Seq, e
	}
}

func (d *demo) close() {
	d.nc.Close()
	must(d.server.Close())
	must(os.RemoveAll(d.dir))
}

// yes are the names that are true, in order.
func yes(set map[string]bool) []string {
	set = maps.Clone(set)
	maps.DeleteFunc(set, func(_ string, is bool) bool { return !is })
	return slices.Sorted(maps.Keys(set))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
