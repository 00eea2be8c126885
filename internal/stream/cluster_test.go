package stream

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/presence"
)

// cluster runs three servers and returns a bench on them, with both streams
// made, three replicas each.
func cluster(t *testing.T) *bench {
	t.Helper()
	ports := freePorts(t, 3)
	var routes, urls []string
	for _, port := range ports {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	for i, port := range ports {
		ns := serve(t, server.Options{
			ServerName: fmt.Sprintf("n%d", i),
			Cluster:    server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port},
			Routes:     server.RoutesFromStr(strings.Join(routes, ",")),
		})
		urls = append(urls, "nats://"+ns.Addr().String())
	}
	b := &bench{nc: dial(t, Options{URL: strings.Join(urls, ","), Log: zerolog.Nop()})}
	b.js = jetStream(t, b.nc)
	b.s = open(t, b.nc, Config{AppID: testApp, Replicas: 3})
	eventually(t, "the cluster", func() bool {
		_, err := b.s.Ensure(t.Context())
		return err == nil
	})
	return b
}

// freePorts returns ports that nobody listens on; the servers of a cluster must
// know each other's before they start.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, nsPort(t, l.Addr().String()))
	}
	return ports
}

func TestNothingIsLostOrDoubledWhenTheLeaderChanges(t *testing.T) {
	t.Parallel()
	b := cluster(t)
	events := story(1, 8_000)
	count := 0
	tell(t, b.s, events, func(int) {
		if count++; count == 1000 || count == 4000 {
			if err := b.nc.Publish("$JS.API.STREAM.LEADER.STEPDOWN."+EventStreamName(testApp), nil); err != nil {
				t.Error(err)
			}
		}
	})
	wantStored(t, b, events)
	wantBucket(t, b, lastOfEach(t, events))
}

// In a cluster the leader judges the sequence before it proposes and the id of
// the last message after, and holds ids that it refused for in process.
func TestAForeignMessageInAClusterLeavesNoHole(t *testing.T) {
	t.Parallel()
	b := cluster(t)
	events := story(1, 4000)
	n, err := b.s.Append(t.Context(), 0, events, func(i int) {
		if i == 999 {
			if err := b.nc.Publish("presence.v1.1234567890.online.mallory", []byte("x")); err != nil {
				t.Error(err)
			}
		}
	})
	if !errors.Is(err, ErrSurprise) || n < 1000 || n == len(events) {
		t.Fatalf("Append = %d, %v; want 1000 or a few more, and a surprise", n, err)
	}
	var last *jetstream.RawStreamMsg
	eventually(t, "the foreign message", func() bool {
		last, err = eventStream(t, b).GetMsg(t.Context(), uint64(n+1))
		return err == nil
	})
	if last.Header.Get(presence.HeaderSeq) != "" {
		t.Errorf("message %d is event %s, want the foreign one", n+1, last.Header.Get(presence.HeaderSeq))
	}
	info, err := b.s.info(t.Context(), EventStreamName(testApp))
	if err != nil {
		t.Fatal(err)
	}
	if info.State.LastSeq != uint64(n+1) {
		t.Errorf("the stream ends at %d, want nothing behind the foreign message %d", info.State.LastSeq, n+1)
	}
}

// Several pollers that tell the same ledger at the same time, as when one
// believes too long in its lease, tell it once.
func TestSeveralAtOnceTellOneStory(t *testing.T) {
	b := standing(t)
	events := story(1, 10_000)
	done := make(chan error, 3)
	for range cap(done) {
		nc := dial(t, Options{URL: b.server.URL(), Log: zerolog.Nop()})
		s := open(t, nc, Config{AppID: testApp})
		go func() {
			for {
				at, err := s.Tail(t.Context())
				if err == nil && at.Seq == int64(len(events)) {
					done <- nil
					return
				}
				if err == nil {
					end := min(at.Seq+700, int64(len(events)))
					_, err = s.Append(t.Context(), at.StreamSeq, events[at.Seq:end], nil)
				}
				if err != nil && !errors.Is(err, ErrSurprise) {
					done <- err
					return
				}
			}
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	wantStored(t, b, events)
}
