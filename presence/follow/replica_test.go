package follow_test

import (
	"fmt"
	"maps"
	"testing"
	"unsafe"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/zim-presence/poller/presence"
	"github.com/zim-presence/poller/presence/follow"
)

// The server has no way to hold one replica back, other than its own tests'.

//go:linkname lookupStream github.com/nats-io/nats-server/v2/server.(*Account).lookupStream
func lookupStream(a *server.Account, name string) (unsafe.Pointer, error)

//go:linkname raftNode github.com/nats-io/nats-server/v2/server.(*stream).raftNode
func raftNode(s unsafe.Pointer) server.RaftNode

// holdBack keeps one replica of a stream, not its leader, from taking over what it
// has been sent, until the test ends.
func holdBack(t *testing.T, servers []*server.Server, name string) {
	t.Helper()
	for _, s := range servers {
		held, err := lookupStream(s.GlobalAccount(), name)
		if err != nil {
			t.Fatal(err)
		}
		if n := raftNode(held); !n.Leader() {
			if err := n.PauseApply(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(n.ResumeApply)
			return
		}
	}
	t.Fatalf("%s has no replica that does not lead", name)
}

// A consumer may run on a replica that is behind, which takes its own end for the
// end. The state is whole all the same.
func TestStateFromAReplicaThatIsBehind(t *testing.T) {
	r, servers := newCluster(t)
	r.told(r.some(100, 10)...)
	r.settled()
	holdBack(t, servers, "KV_presence_1234567890")
	var late []presence.Event
	for i := range 50 {
		late = append(late, r.flip(fmt.Sprintf("late-%d", i)))
	}
	r.told(late...)
	r.settled()
	truth := r.truth()
	for range 20 { // each on one of three replicas, by lot
		p := r.program(follow.Config{})
		p.upTo(r.seq())
		if status, seq, _ := p.snapshot(); !maps.Equal(status, truth) {
			t.Errorf("current as of %d with %d users, the truth has %d", seq, len(status), len(truth))
		}
		p.stop()
	}
}
