package main

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/zimsim"
)

// heldBack holds back the first piece of bytes of a kind that goes through a proxy
// once it is armed, and all behind it on its connection, and notes what the server
// answers there when it is let go.
type heldBack struct {
	armed, conn atomic.Int64
	held        chan struct{} // closed when it is held
	letGo       chan struct{} // to be closed
	answers     chan []byte   // of the server, since it was let go
}

// holdBack arms it. The hook stands for the whole test.
func holdBack(t *testing.T, proxy *localtest.Proxy, kind func(localtest.Direction, []byte) bool) *heldBack {
	t.Helper()
	h := &heldBack{held: make(chan struct{}), letGo: make(chan struct{}), answers: make(chan []byte, 10_000)}
	h.armed.Store(1)
	proxy.SetHook(func(conn int, d localtest.Direction, data []byte) localtest.Verdict {
		switch {
		case isCancel(d, data):
			return localtest.Drop // what is held back is to arrive whole
		case kind(d, data) && h.armed.CompareAndSwap(1, 0):
			h.conn.Store(int64(conn))
			close(h.held)
			<-h.letGo
		case d == localtest.ToClient && int64(conn) == h.conn.Load():
			select {
			case h.answers <- bytes.Clone(data):
			default:
			}
		}
		return localtest.Pass
	})
	t.Cleanup(func() { h.release() })
	return h
}

// release lets it go; doing it again changes nothing.
func (h *heldBack) release() {
	select {
	case <-h.letGo:
	default:
		close(h.letGo)
	}
}

// isCancel tells a request to cancel another connection's statement.
func isCancel(d localtest.Direction, data []byte) bool {
	return d == localtest.ToServer && len(data) >= 8 && bytes.Equal(data[4:8], []byte{0x04, 0xd2, 0x16, 0x2e})
}

func (w *world) untilClosed(what string, c <-chan struct{}) {
	w.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		w.t.Fatalf("waited %s for: %s", patience, what)
	}
}

// untilAnswered waits for an answer that has one of these words, and returns it.
func (w *world) untilAnswered(h *heldBack, words ...string) string {
	w.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case answer := <-h.answers:
			for _, word := range words {
				if bytes.Contains(answer, []byte(word)) {
					return word
				}
			}
		case <-deadline:
			w.t.Fatalf("waited %s for an answer with %q", patience, words)
		}
	}
}

// What Postgres answers to a commit: how many rows the statement returned. It
// returns the row of the fence, or none.
const landed, fenced = "SELECT 1\x00", "SELECT 0\x00"

// scene is a program whose ways to Postgres and NATS lead through proxies, at rest
// with everybody's baseline told.
type scene struct {
	*world
	users          map[string]zimsim.State
	postgres, nats *localtest.Proxy
	first          *process
}

func newScene(t *testing.T, ttl time.Duration) *scene {
	t.Helper()
	w := newWorld(t, "POLLER_LEASE_TTL="+ttl.String())
	s := &scene{world: w, users: population(1500)}
	w.set(s.users)
	w.watch(keys(s.users)...)
	var through string
	s.postgres, through = localtest.PostgresProxy(t, w.dsn)
	s.nats = localtest.NewProxy(t, "tcp", strings.TrimPrefix(w.nats.URL(), "nats://"))
	s.first = w.with("POLLER_DATABASE_URL="+named(through, "first"), "POLLER_NATS_URL="+s.nats.Through(w.nats.URL())).start("run")
	w.newEvents(0, len(s.users))
	return s
}

// change has a number of users go offline at ZIM.
func (s *scene) change(n int) (ids []string) {
	s.t.Helper()
	changed := map[string]zimsim.State{}
	ids = among(s.users, zimsim.Online, n)
	for _, id := range ids {
		changed[id], s.users[id] = zimsim.LoggedOut, zimsim.LoggedOut
	}
	if len(changed) != n {
		s.t.Fatalf("%d users are online, want %d", len(changed), n)
	}
	s.set(changed)
	return ids
}

// second starts another program, which goes its own way.
func (s *scene) second() *process {
	return s.with("POLLER_DATABASE_URL=" + named(s.dsn, "second")).start("run")
}

// end waits for so many events, and proves that they are all, and right.
func (s *scene) end(events int, running ...*process) {
	s.t.Helper()
	s.newEvents(0, events)
	for _, p := range running {
		p.stop()
	}
	s.audit()
	s.auditIntervals(s.events(0))
}

// Between the answer of ZIM and its commit the holder is held up for so long that
// another takes the lease. Its commit arrives and writes nothing; the other one has
// told the same change, once.
func TestCommitAfterAnotherHasTheEpoch(t *testing.T) {
	t.Parallel()
	s := newScene(t, 2*time.Second)
	commit := holdBack(t, s.postgres, isCommit)
	s.change(100)
	s.untilClosed("a commit", commit.held)
	s.postgres.Stall() // the whole program is cut off
	second := s.second()
	s.newEvents(len(s.users), 100)
	before := s.count(`select last_seq from apps where app_id = $1`, worldApp)
	commit.release()
	s.postgres.Resume()
	if got := s.untilAnswered(commit, landed, fenced); got != fenced {
		t.Error("the commit of an epoch that is over has landed")
	}
	if after := s.count(`select last_seq from apps where app_id = $1`, worldApp); after != before {
		t.Errorf("the ledger went from event %d to %d with it", before, after)
	}
	s.end(len(s.users)+100, s.first, second)
}

// A commit on its way when its process is killed: it lands before anybody takes the
// lease, or arrives after, when it writes nothing. Who takes over tells the change
// once. Where the users are back by then there is nothing to tell, and only the epoch
// stands between the commit and the ledger.
func TestCommitOfADeadProcess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		want   string
		back   bool
		events int
	}{{"lands before the next epoch", landed, false, 100}, {"arrives after it", fenced, false, 100}, {"arrives alone", fenced, true, 0}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, time.Minute)
			commit := holdBack(t, s.postgres, isCommit)
			changed := s.change(100)
			s.untilClosed("a commit", commit.held)
			s.first.kill()
			arrives := func() {
				commit.release()
				if got := s.untilAnswered(commit, landed, fenced); got != c.want {
					t.Errorf("Postgres answered the commit %q, want %q", got, c.want)
				}
			}
			if c.want == landed {
				arrives()
			}
			if c.back {
				for _, id := range changed {
					s.set(map[string]zimsim.State{id: zimsim.Online})
				}
			}
			second := s.second()
			s.newEvents(len(s.users), c.events)
			if c.want == fenced {
				arrives()
			}
			s.end(len(s.users)+c.events, second)
		})
	}
}

// A commit waits inside Postgres for the app's row when its process is killed. It
// lands when the row is free, before the next holder, who stands behind it.
func TestCommitWaitsInPostgresWhenItsProcessDies(t *testing.T) {
	t.Parallel()
	s := newScene(t, time.Minute)
	gate, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Rollback(context.Background())
	if _, err := gate.Exec(t.Context(), `select from apps where app_id = $1 for update`, worldApp); err != nil {
		t.Fatal(err)
	}
	s.change(100)
	waits := func(name, like string) func() bool {
		return func() bool {
			return s.count(`
				select count(*)
				  from pg_stat_activity
				 where datname = current_database() and application_name = $1 and wait_event_type = 'Lock' and query like $2`, name, like) > 0
		}
	}
	const commit = "%with fence as%last_seq + $4%" // Postgres shows the first 1,024 bytes of a statement
	s.until("the commit waits", waits("first", commit))
	s.first.kill()
	second := s.second()
	s.until("the next holder waits", waits("second", "%for update%"))
	if !waits("first", commit)() {
		t.Error("the dead process's commit does not wait any longer")
	}
	if err := gate.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.end(len(s.users)+100, second)
}

// Publishes of a past holder reach the stream when another has told the same events,
// and newer ones. Every one of them is refused for the message that it had to follow.
func TestPublishesOfAPastHolder(t *testing.T) {
	t.Parallel()
	const late, newer = 200, 50
	s := newScene(t, 2*time.Second)
	publishes := swallow(s.nats, carriesPublish)
	s.change(late)
	s.until("a publish", func() bool { return len(publishes.bytes()) > 0 })
	s.postgres.Stall()
	second := s.second()
	s.newEvents(len(s.users), late)
	s.change(newer)
	s.newEvents(len(s.users), late+newer)

	wrongLast := regexp.MustCompile(`"err_code": ?1007[01]`)
	for reply, answer := range s.publish(publishes.bytes()) {
		if !wrongLast.MatchString(answer) {
			t.Errorf("%s was answered %s, want %s", reply, answer, wrongLast)
		}
	}
	if n := len(s.events(0)); n != len(s.users)+late+newer {
		t.Errorf("the stream has %d events, want %d", n, len(s.users)+late+newer)
	}
	s.postgres.Resume()
	s.end(len(s.users)+late+newer, s.first, second)
}

// swallowed is what a proxy has swallowed.
type swallowed struct {
	mu   sync.Mutex
	data []byte
}

// swallow has a proxy swallow the first piece of a kind and all behind it on its
// connection, so that they are whole.
func swallow(proxy *localtest.Proxy, kind func(localtest.Direction, []byte) bool) *swallowed {
	s, from := &swallowed{}, 0
	proxy.SetHook(func(conn int, d localtest.Direction, data []byte) localtest.Verdict {
		s.mu.Lock()
		defer s.mu.Unlock()
		if from == 0 && kind(d, data) {
			from = conn
		}
		if conn != from || d != localtest.ToServer {
			return localtest.Pass
		}
		s.data = append(s.data, data...)
		return localtest.Drop
	})
	return s
}

func (s *swallowed) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.data)
}

// publish sends these bytes of a client to NATS and returns what the server answers
// to each event that they publish, by the subject of its reply.
func (s *scene) publish(data []byte) map[string]string {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.world.nats.URL(), "nats://"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	answers := map[string]string{}
	for _, m := range regexp.MustCompile(`HPUB presence\.v1\.\S+ (\S+) `).FindAllSubmatch(data, -1) {
		answers[string(m[1])] = ""
	}
	s.t.Logf("%d events of the past holder", len(answers))
	hello := `CONNECT {"verbose":false,"headers":true,"no_responders":true,"protocol":1}` + "\r\nSUB _INBOX.> late\r\n"
	if _, err := conn.Write(append([]byte(hello), data...)); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewReader(conn)
	for left := len(answers); left > 0; {
		line, err := lines.ReadString('\n')
		if err != nil {
			s.t.Fatalf("%d events are not answered: %v", left, err)
		}
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "MSG" {
			continue
		}
		if answer, of := answers[fields[1]]; of && answer == "" {
			if answers[fields[1]], err = lines.ReadString('\n'); err != nil {
				s.t.Fatal(err)
			}
			left--
		}
	}
	if len(answers) == 0 {
		s.t.Error("nothing was published")
	}
	return answers
}
