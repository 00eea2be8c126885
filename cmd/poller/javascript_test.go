package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// script is the consumer of examples/javascript as a process.
type script struct {
	w    *world
	cmd  *exec.Cmd
	done chan struct{}

	mu    sync.Mutex // guards all below
	lines []scriptLine
	said  bytes.Buffer // on stderr
}

// scriptLine is what it prints: where it begins, an event, or where it ends.
type scriptLine struct {
	State *int              `json:"state"`
	Users map[string]string `json:"users"`
	Seq   int64             `json:"seq"`
	Kind  string            `json:"kind"`
	Alarm *bool             `json:"alarm"` // of alarm.js alone, as is the next
	Sweep int64             `json:"sweep"`
}

// install puts the consumer and what it needs into a directory, by npm.
func install(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../examples/javascript")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--prefer-offline")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v (make test runs scripts/need-node first)\n%s", err, out)
	}
	return dir
}

// consume starts the consumer against a server.
func (w *world) consume(dir, server string, env ...string) *script {
	w.t.Helper()
	return w.node(dir, env, "consumer.js", fmt.Sprint(uint32(worldApp)), server)
}

// node starts one of the programs.
func (w *world) node(dir string, env []string, args ...string) *script {
	w.t.Helper()
	s := &script{w: w, cmd: exec.Command("node", args...), done: make(chan struct{})}
	s.cmd.Dir = dir
	s.cmd.Env = append(append(os.Environ(), "FORGET_EVERY=200"), env...)
	s.cmd.Stderr = writer(func(p []byte) { s.mu.Lock(); s.said.Write(p); s.mu.Unlock() })
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	go s.read(out)
	w.t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.done
		if w.t.Failed() {
			w.t.Logf("the consumer said:\n%s", s.complaints())
		}
	})
	return s
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }

func (s *script) read(out io.Reader) {
	defer close(s.done)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var line scriptLine
		s.mu.Lock()
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			fmt.Fprintf(&s.said, "%s: %v\n", lines.Text(), err)
		}
		s.lines = append(s.lines, line)
		s.mu.Unlock()
	}
	_ = s.cmd.Wait() // what it printed says how it went
}

func (s *script) complaints() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.String()
}

func (s *script) printed() []scriptLine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines
}

// at is the event that it has come to, 0 before it began.
func (s *script) at() int64 {
	s.w.t.Helper()
	select {
	case <-s.done:
		s.w.t.Fatal("the consumer has ended")
	default:
	}
	lines := s.printed()
	if len(lines) == 0 {
		return 0
	}
	return lines[len(lines)-1].Seq
}

// reaches waits until it has come to the ledger's end.
func (s *script) reaches() {
	s.w.t.Helper()
	s.w.until("the consumer is at the end", func() bool {
		return s.at() == s.w.lastSeq()
	})
}

// inOrder wants every event between where it began and where it is, each once,
// but for those that are excepted.
func (s *script) inOrder(except ...int64) {
	s.w.t.Helper()
	var last int64
	for i, line := range s.printed() {
		for last > 0 && len(except) > 0 && except[0] == last+1 && line.State == nil {
			last, except = last+1, except[1:]
		}
		if (i == 0) != (line.State != nil) || i > 0 && line.Seq != last+1 {
			s.w.t.Fatalf("line %d is at %d (state %v), behind %d", i, line.Seq, line.State != nil, last)
		}
		last = line.Seq
	}
}

// ends stops it, and wants its state to be the truth.
func (s *script) ends() {
	s.w.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.w.t.Fatal(err)
	}
	select {
	case <-s.done:
	case <-time.After(patience):
		s.w.t.Fatal("the consumer does not end")
	}
	lines := s.printed()
	want := map[string]string{}
	rows, err := s.w.pool.Query(s.w.t.(*testing.T).Context(), `select user_id, status from presence where app_id = $1`, worldApp)
	if err != nil {
		s.w.t.Fatal(err)
	}
	for rows.Next() {
		var id, status string
		if err := rows.Scan(&id, &status); err != nil {
			s.w.t.Fatal(err)
		}
		want[id] = status
		if truth, _, _ := s.w.truth(id); status != "unknown" && truth.String() != status {
			s.w.t.Errorf("%q is %s, the table says %s", id, truth, status)
		}
	}
	if diff := cmp.Diff(want, lines[len(lines)-1].Users); diff != "" || len(want) == 0 {
		s.w.t.Errorf("state of %d users (-want +got):\n%s", len(want), diff)
	}
}

// The consumer of examples/javascript: it joins under load, while NATS restarts
// and its connection is cut, and has the truth each time. Events that were erased
// are no gap; one that is missing is, and it begins again.
func TestJavaScript(t *testing.T) {
	t.Parallel()
	dir := install(t)
	w := newWorld(t, "POLLER_STALE_AFTER=10s")
	users := population(60)
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")
	w.newEvents(0, len(users))
	proxy := localtest.NewProxy(t, "tcp", strings.TrimPrefix(w.nats.URL(), "nats://"))
	through := "nats://" + proxy.Addr()

	calm := w.churn(keys(users))
	early := w.consume(dir, through)
	w.until("it has begun", func() bool { return early.at() > 0 })
	w.nats.Restart()
	late := w.consume(dir, through)
	w.sweeps(2)
	calm()
	w.unwatch("a.b")
	w.sweeps(2)
	early.reaches()
	late.reaches()
	early.inOrder()
	late.inOrder()
	late.ends()

	w.erasedIsNoGap(early, proxy)
	w.missingIsAGap(early, proxy)
	w.anotherStream(early)
	w.goStale(early)
	alarm := w.node(dir, nil, "alarm.js", fmt.Sprint(uint32(worldApp)), "5", w.nats.URL())
	w.until("the alarm hears of sweeps", func() bool { return alarm.sweeps() > 1 })
	if err := w.sim.AddFaults(zimsim.Fault{Kind: zimsim.Partial, Share: 0.5}); err != nil {
		t.Fatal(err)
	}
	w.until("the alarm, since too few are answered though sweeps are complete", func() bool { return alarm.rings() })
	w.sim.ClearFaults()
	w.until("the end of the alarm", func() bool { return !alarm.rings() })
	w.foreignMessages(early)
	w.until("the alarm, since nothing is told though sweeps go on", func() bool { return alarm.rings() })
	early.ends()
	daemon.stop()
}

// consumesAs runs it with the permissions of a subscriber.
func (w *world) consumesAs(server *localtest.ConfiguredNATS) {
	w.t.Helper()
	s := w.consume(install(w.t.(*testing.T)), "nats://"+server.Addr(), "NATS_USER=reader", "NATS_PASSWORD=secret")
	s.reaches()
	s.ends()
	if said := s.complaints(); said != "" {
		w.t.Errorf("as a subscriber the consumer says: %s", said)
	}
}

// churn changes users all the time, until it is told to stop.
func (w *world) churn(ids []string) (calm func()) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		dice := rand.New(rand.NewPCG(7, 7))
		for {
			states := map[string]zimsim.State{}
			for range 5 {
				states[ids[dice.IntN(len(ids))]] = zimsim.State(dice.IntN(3))
			}
			if _, err := w.zim.SetAll(states); err != nil {
				w.t.Error(err)
			}
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() { close(stop); <-done }
}

// erasedIsNoGap erases a user while the consumer is cut off and has an event of
// the user before it.
func (w *world) erasedIsNoGap(s *script, proxy *localtest.Proxy) {
	w.t.Helper()
	first := w.away(proxy, "user-00001", "user-00002", "user-00003")
	if out, code := w.run("forget", "user-00001", "--yes"); code != 0 {
		w.t.Fatalf("poller forget: exit code %d, %s", code, out)
	}
	proxy.Accept()
	s.reaches()
	s.inOrder(first)
	for _, wrong := range []string{" follows ", " goes back ", " the one before "} {
		if strings.Contains(s.complaints(), wrong) {
			w.t.Errorf("nothing is missing, and the consumer says %s", s.complaints())
		}
	}
}

// missingIsAGap takes an event out of the stream that nobody has told to be erased.
func (w *world) missingIsAGap(s *script, proxy *localtest.Proxy) {
	w.t.Helper()
	first := w.away(proxy, "user-00004", "user-00005")
	ctx := context.Background()
	events, err := w.js.Stream(ctx, stream.EventStreamName(worldApp))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := events.DeleteMsg(ctx, w.lastMessage()-1); err != nil {
		w.t.Fatal(err)
	}
	proxy.Accept()
	want := fmt.Sprintf("event %d follows %d: beginning again", first+1, first-1)
	w.until("the consumer says: "+want, func() bool { return strings.Contains(s.complaints(), want) })
	s.reaches()
	lines := s.printed()
	if last := lines[len(lines)-1]; last.State == nil {
		w.t.Errorf("the consumer did not begin again: event %d, %s", last.Seq, last.Kind)
	}
}

// anotherStream deletes the event stream. The poller makes it anew and goes on.
func (w *world) anotherStream(s *script) {
	w.t.Helper()
	if err := w.js.DeleteStream(context.Background(), stream.EventStreamName(worldApp)); err != nil {
		w.t.Fatal(err)
	}
	before := w.lastSeq()
	w.set(map[string]zimsim.State{"user-00006": zimsim.Online, "user-00007": zimsim.Online, "user-00008": zimsim.Online})
	w.until("more events", func() bool { return w.lastSeq() > before })
	w.until("the consumer notices", func() bool {
		return strings.Contains(s.complaints(), "the event stream was made anew: beginning again")
	})
	s.reaches()
}

// foreignMessages publishes a copy of the newest event and what is none. Neither
// makes the consumer begin again.
func (w *world) foreignMessages(s *script) {
	w.t.Helper()
	ctx := context.Background()
	events, err := w.js.Stream(ctx, stream.EventStreamName(worldApp))
	if err != nil {
		w.t.Fatal(err)
	}
	newest, err := events.GetMsg(ctx, events.CachedInfo().State.LastSeq)
	if err != nil {
		w.t.Fatal(err)
	}
	before := strings.Count(s.complaints(), "beginning again")
	for _, data := range [][]byte{newest.Data, []byte("{}")} {
		if _, err := w.js.Publish(ctx, newest.Subject, data); err != nil {
			w.t.Fatal(err)
		}
	}
	w.until("the consumer has read both", func() bool { return strings.Contains(s.complaints(), "no event, passed over") })
	if strings.Count(s.complaints(), "beginning again") > before {
		w.t.Errorf("behind foreign messages the consumer says %s", s.complaints())
	}
}

// goStale has ZIM fail until users are stale.
func (w *world) goStale(s *script) {
	w.t.Helper()
	w.strike(zimsim.Fault{Kind: zimsim.HTTPError}, func() {
		w.until("users are stale", func() bool { return w.count(`select count(*) from presence where status = 'unknown'`) > 50 })
		s.reaches()
	})
	w.until("they are known again", func() bool { return w.count(`select count(*) from user_states where stale`) == 0 })
	s.reaches()
	if !slices.ContainsFunc(s.printed(), func(l scriptLine) bool { return l.Kind == "stale" }) {
		w.t.Error("the consumer says nothing of stale users")
	}
}

// sweeps is of how many complete sweeps alarm.js has heard.
func (s *script) sweeps() (n int) {
	for _, line := range s.printed() {
		if line.Sweep > 0 {
			n++
		}
	}
	return n
}

// rings tells whether alarm.js has raised the alarm last.
func (s *script) rings() bool {
	lines := s.printed()
	last := lines[len(lines)-1]
	return last.Alarm != nil && *last.Alarm
}

// away makes events while the consumer cannot hear them, one for each user in turn,
// and returns the first one's seq.
func (w *world) away(proxy *localtest.Proxy, ids ...string) int64 {
	w.t.Helper()
	proxy.Refuse()
	proxy.Cut()
	before, stands := w.lastSeq(), w.lastMessage()
	for i, id := range ids {
		status, _, _ := w.truth(id)
		to := zimsim.Online
		if status == presence.Online {
			to = zimsim.Timeout
		}
		w.set(map[string]zimsim.State{id: to})
		w.until("the event of "+id, func() bool { return w.lastMessage() == stands+uint64(i)+1 })
	}
	return before + 1
}
