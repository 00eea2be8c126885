package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// node is one server of a NATS cluster, as a process of its own.
type node struct {
	Name    string
	Port    int
	Cluster int
	Routes  string
	Store   string

	cmd *exec.Cmd
}

// runNode lets this test binary be a node, until it is killed.
func runNode(config string) {
	var n node
	err := json.Unmarshal([]byte(config), &n)
	if err != nil {
		panic(err)
	}
	ns, err := server.NewServer(&server.Options{
		ServerName: n.Name, Host: "127.0.0.1", Port: n.Port, NoSigs: true, JetStream: true, StoreDir: n.Store,
		Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: n.Cluster}, Routes: server.RoutesFromStr(n.Routes),
		DisableJetStreamBanner: true,
	})
	if err != nil {
		panic(err)
	}
	ns.Start()
	ns.WaitForShutdown()
}

func (n *node) start(t *testing.T) {
	t.Helper()
	config, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	n.cmd = exec.Command(os.Args[0])
	n.cmd.Env = []string{"POLLER_TEST_NATS=" + string(config), "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (n *node) kill() {
	_ = n.cmd.Process.Kill() // it may have gone
	_ = n.cmd.Wait()         // a signal ended it
}

// cluster starts three nodes and returns them and their URLs.
func cluster(t *testing.T) (nodes []*node, urls string) {
	t.Helper()
	ports := freePorts(t, 6)
	var routes, addresses []string
	for i := range 3 {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", ports[3+i]))
		addresses = append(addresses, fmt.Sprintf("nats://127.0.0.1:%d", ports[i]))
	}
	for i := range 3 {
		n := &node{Name: fmt.Sprintf("n%d", i), Port: ports[i], Cluster: ports[3+i], Routes: strings.Join(routes, ","), Store: t.TempDir()}
		n.start(t)
		t.Cleanup(n.kill)
		nodes = append(nodes, n)
	}
	return nodes, strings.Join(addresses, ",")
}

// freePorts returns ports that nobody listens on; the nodes must know each
// other's before they start. No system gives out ports so low to who asks for any,
// so that a killed node finds its own again.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	const from, to = 12_000, 30_000
	for tries := 0; len(ports) < n; tries++ {
		port := from + rand.IntN(to-from)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			if tries > 100*n {
				t.Fatal(err)
			}
			continue // somebody has it
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, port)
	}
	return ports
}

// progress watches the end of the event stream until the returned function is
// called, which tells the longest time for which it stood still or was not to be
// had, while events came all the time.
func (w *world) progress() (stop func() time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	longest := make(chan time.Duration)
	go func() {
		var worst time.Duration
		var end uint64
		moved := time.Now()
		for ctx.Err() == nil {
			if s, err := w.eventStream(ctx); err == nil && s.State.LastSeq != end {
				worst, end, moved = max(worst, time.Since(moved)), s.State.LastSeq, time.Now()
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		longest <- max(worst, time.Since(moved))
	}()
	return func() time.Duration { cancel(); return <-longest }
}

func (w *world) eventStream(ctx context.Context) (*jetstream.StreamInfo, error) {
	return w.streamInfo(ctx, "PRESENCE_4000000001")
}

func (w *world) streamInfo(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	s, err := w.js.Stream(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.CachedInfo(), nil
}

// whole tells whether a stream has a leader, and two others who keep up with it.
func (w *world) whole(name string) bool {
	info, err := w.streamInfo(w.t.Context(), name)
	return err == nil && info.Cluster.Leader != "" && len(info.Cluster.Replicas) == 2 &&
		!slices.ContainsFunc(info.Cluster.Replicas, func(p *jetstream.PeerInfo) bool { return p.Offline || !p.Current })
}

// A cluster of three, one of which is killed with kill -9 again and again, the
// leader of the event stream every other time, while events come all the time:
// nothing is lost, doubled or reordered, and the bucket follows.
func TestNodesKilled(t *testing.T) {
	t.Parallel()
	const kills = 6
	nodes, urls := cluster(t)
	w := newWorld(t, "POLLER_NATS_URL="+urls, "POLLER_NATS_REPLICAS=3")
	nc, err := nats.Connect(urls, nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if w.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(drawSeed(t), 1))
	users := population(200)
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")
	w.until("the first events", func() bool {
		s, err := w.eventStream(t.Context())
		return err == nil && s.State.LastSeq >= uint64(len(users))
	})
	stopFlips := w.keepFlipping(users, random.Uint64())
	stopWatch := w.progress()
	leaders := 0
	for k := range kills {
		var info *jetstream.StreamInfo
		w.until("a leader, and events behind the last kill", func() bool {
			before := info
			info, err = w.eventStream(t.Context())
			return err == nil && info.Cluster.Leader != "" && before != nil && before.State.LastSeq < info.State.LastSeq
		})
		victim := nodes[random.IntN(len(nodes))]
		if k%2 == 0 {
			victim = nodes[slices.IndexFunc(nodes, func(n *node) bool { return n.Name == info.Cluster.Leader })]
		}
		if victim.Name == info.Cluster.Leader {
			leaders++
		}
		<-time.After(time.Duration(random.IntN(1000)) * time.Millisecond) // the moment is drawn, nothing is waited for
		victim.kill()
		<-time.After(time.Duration(random.IntN(2000)) * time.Millisecond)
		victim.start(t)
	}
	w.until("events behind the last kill", func() bool {
		s, err := w.eventStream(t.Context())
		return err == nil && s.State.LastSeq >= uint64(w.count(`select last_seq from apps where app_id = $1`, worldApp))-50
	})
	longest := stopWatch()
	stopFlips()
	w.sweeps(2)
	w.until("all told", func() bool {
		s, err := w.eventStream(t.Context())
		return err == nil && s.State.LastSeq == uint64(w.count(`select last_seq from apps where app_id = $1`, worldApp))
	})
	daemon.stop()
	w.until("the cluster is whole", func() bool { return w.whole("PRESENCE_4000000001") && w.whole("KV_presence_4000000001") })
	// Nobody is left to publish again what the cluster might have forgotten.
	var end *jetstream.StreamInfo
	w.until("an answer about the stream", func() bool { end, err = w.eventStream(t.Context()); return err == nil })
	if want := uint64(w.count(`select last_seq from apps where app_id = $1`, worldApp)); end.State.LastSeq != want {
		t.Errorf("the stream ends with message %d, the ledger counts %d", end.State.LastSeq, want)
	}
	w.audit()
	w.auditIntervals(w.events(0))
	n := len(w.events(0))
	t.Logf("%d kills, %d of them of the leader, %d events; the stream stood still for %s at the longest", kills, leaders, n, longest.Round(time.Millisecond))
	if n < len(users)+10*kills {
		t.Errorf("%d events, too few to prove anything", n)
	}
}
