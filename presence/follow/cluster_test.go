package follow_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/presence"
	"github.com/zim-presence/poller/presence/follow"
)

// newCluster is a rig on three servers, with three replicas of each stream.
func newCluster(t *testing.T) (*rig, []*server.Server) {
	t.Helper()
	var ports []int
	var routes, urls []string
	var servers []*server.Server
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		port := l.Addr().(*net.TCPAddr).Port
		ports, routes = append(ports, port), append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
		_ = l.Close()
	}
	for i, port := range ports {
		ns, err := server.NewServer(&server.Options{
			Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir(), DisableJetStreamBanner: true,
			ServerName: fmt.Sprintf("n%d", i), Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port},
			Routes: server.RoutesFromStr(strings.Join(routes, ",")),
		})
		if err != nil {
			t.Fatal(err)
		}
		ns.Start()
		t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
		if !ns.ReadyForConnections(time.Minute) {
			t.Fatal("a server does not accept connections")
		}
		urls, servers = append(urls, "nats://"+ns.Addr().String()), append(servers, ns)
	}
	r := &rig{t: t, url: strings.Join(urls, ","), log: "7f3a90c2", last: map[string]int64{}, status: map[string]presence.Status{}}
	r.js = r.connect()
	s, err := stream.New(r.js.Conn(), stream.Config{AppID: app, Replicas: 3}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	r.stream = s
	r.ensure()
	return r, servers
}

// The leaders of the streams change while events are told and followers come and
// go on.
func TestLeadersChange(t *testing.T) {
	r, _ := newCluster(t)
	r.told(r.some(100, 10)...)
	r.settled()
	programs := []*program{r.program(follow.Config{}), r.program(follow.Config{Durable: "d"})}
	for _, p := range programs {
		p.upTo(100)
	}
	for n := range 6 {
		name := []string{"PRESENCE_1234567890", "KV_presence_1234567890"}[n%2]
		if _, err := r.js.Conn().Request("$JS.API.STREAM.LEADER.STEPDOWN."+name, nil, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		programs = append(programs, r.program(follow.Config{}))
		r.told(r.some(100, 10)...)
	}
	for i, p := range programs {
		p.reaches(r)
		if got := p.numbers(); i < 2 && !slices.Equal(got, upward(101, 700)) {
			t.Errorf("%d events told, want 101 to 700", len(got))
		}
	}
}
