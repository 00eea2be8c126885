// Package compare measures the poller beside one that was written in an hour: the same users, the same simulated ZIM, the same
// faults. It prints a table. It is a module of its own, and make compare runs it; no test depends on its figures.
package compare

import (
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

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/migrations"
)

const (
	app    = 1234567890
	secret = "0123456789abcdef0123456789abcdef"
)

func TestMain(m *testing.M) { os.Exit(localtest.Main(m).Run()) }

// contender is one of the programs.
type contender struct {
	name    string
	command []string
	env     []string
}

// stage is a world of its own for one contender in one act.
type stage struct {
	t     *testing.T
	who   contender
	users []string
	sim   *zimsim.Server
	zim   *zimsim.App
	nats  *localtest.NATSServer
	env   []string
	ear   *ear
	cmd   *exec.Cmd
}

// told is one event that was heard.
type told struct{ user, status, kind string }

// ear is a subscriber that is there all the time. In a stream of its own it misses nothing that is published.
type ear struct {
	mu  sync.Mutex
	all []told
}

func (e *ear) hear(m *nats.Msg) {
	var plain struct{ User, Status string }
	var event struct {
		Data struct {
			UserID string `json:"user_id"`
			To     string
			Kind   string
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if json.Unmarshal(m.Data, &event) == nil && event.Data.UserID != "" {
		e.all = append(e.all, told{event.Data.UserID, event.Data.To, event.Data.Kind})
	} else if json.Unmarshal(m.Data, &plain) == nil {
		e.all = append(e.all, told{plain.User, plain.Status, plain.Status})
	}
}

func (e *ear) events() []told {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.all)
}

func newStage(t *testing.T, who contender, users int, schedule string) *stage {
	t.Helper()
	dsn, server := localtest.Postgres(t), localtest.NATS(t)
	s := &stage{t: t, who: who, nats: server, ear: &ear{}}
	if _, err := migrations.Up(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	s.sim = zimsim.New(zimsim.Config{Seed: 1, Apps: []zimsim.AppConfig{{ID: app, Secret: secret}}})
	if err := s.sim.Start(t.Context(), "127.0.0.1:0", ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.sim.Close)
	s.zim = s.sim.App(app)
	states := map[string]zimsim.State{}
	for n := range users {
		id := zimsim.UserName(n + 1)
		s.users = append(s.users, id)
		states[id] = zimsim.State([]zimsim.State{zimsim.Online, zimsim.LoggedOut, zimsim.Timeout}[n%3])
	}
	if _, err := s.zim.SetAll(states); err != nil {
		t.Fatal(err)
	}
	db, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	if _, err := db.Exec(t.Context(), `insert into watched_users (app_id, user_id) select $1, unnest($2::text[])`, int64(app), s.users); err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(server.URL(), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	s.listen(nc)
	s.env = append(append(os.Environ(), "POLLER_DATABASE_URL="+dsn, "POLLER_NATS_URL="+server.URL(), "POLLER_ZIM_BASE_URL="+s.sim.URL(),
		fmt.Sprintf("POLLER_ZIM_APP_ID=%d", app), "POLLER_ZIM_SERVER_SECRET="+secret, "POLLER_SCHEDULE="+schedule,
		"POLLER_HTTP_LISTEN=", "POLLER_LOG_LEVEL=error"), who.env...)
	return s
}

// listen hears core NATS in the one case, and the stream, when there is one, in the other.
func (s *stage) listen(nc *nats.Conn) {
	if s.who.name != "poller" {
		if _, err := nc.Subscribe("presence.*", s.ear.hear); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	js, err := nc.JetStream()
	if err != nil {
		s.t.Fatal(err)
	}
	go func() {
		for s.t.Context().Err() == nil {
			if _, err := js.Subscribe(fmt.Sprintf("presence.v1.%d.>", app), s.ear.hear, nats.OrderedConsumer(), nats.DeliverAll()); err == nil {
				return
			}
			<-time.After(20 * time.Millisecond)
		}
	}()
}

func (s *stage) start() {
	s.cmd = exec.Command(s.who.command[0], s.who.command[1:]...)
	s.cmd.Env, s.cmd.Stderr = s.env, io.Discard
	if os.Getenv("COMPARE_LOG") != "" {
		s.cmd.Stderr = os.Stderr
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) stop(how syscall.Signal) {
	_ = s.cmd.Process.Signal(how)
	_ = s.cmd.Wait()
}

func (s *stage) fault(text string) {
	some, err := zimsim.ParseFaults(text)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.sim.AddFaults(some...); err != nil {
		s.t.Fatal(err)
	}
}

// sweeps waits until everybody was asked about so many times more.
func (s *stage) sweeps(n int) {
	want := s.zim.Stats().IDs + uint64(n*len(s.users))
	for s.zim.Stats().IDs < want {
		<-time.After(20 * time.Millisecond)
	}
	<-time.After(time.Second) // what was answered is told
}

// windows counts the sliding seconds that begin with an arrival and hold more than the limit, and the busiest.
func windows(arrivals []time.Duration, limit int) (over, most int) {
	end := 0
	for i, first := range arrivals {
		for end < len(arrivals) && arrivals[end] < first+time.Second {
			end++
		}
		most = max(most, end-i)
		if end-i > limit {
			over++
		}
	}
	return over, most
}

func contenders(t *testing.T) []contender {
	t.Helper()
	dir := t.TempDir()
	for name, source := range map[string]string{"poller": "../../cmd/poller", "naive": "./naive"} {
		build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, name), ".")
		build.Dir = source
		if said, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, said)
		}
	}
	return []contender{
		{"poller", []string{filepath.Join(dir, "poller"), "run"}, nil},
		{"naive", []string{filepath.Join(dir, "naive")}, nil},
		{"naive, announcing", []string{filepath.Join(dir, "naive")}, []string{"NAIVE_ANNOUNCE=1"}},
		{"naive, at 18", []string{filepath.Join(dir, "naive")}, []string{"NAIVE_RATE=18"}},
	}
}

func TestCompare(t *testing.T) {
	for _, who := range contenders(t) {
		if who.name != "naive, announcing" { // what it tells at its start makes no difference here
			t.Run("budget of "+who.name, func(t *testing.T) { budget(t, who) })
		}
		if who.env == nil {
			for _, fault := range faults() {
				t.Run("nonsense to "+who.name, func(t *testing.T) { nonsense(t, who, fault) })
			}
			t.Run("calm around "+who.name, func(t *testing.T) {
				newStage(t, who, 1000, "@every 2s").bustle("calm", func() { <-time.After(20 * time.Second) })
			})
			t.Run("outages of NATS before "+who.name, func(t *testing.T) { outages(t, who) })
		}
		if who.name != "naive, at 18" {
			t.Run("kills of "+who.name, func(t *testing.T) { kills(t, who) })
		}
	}
}

func faults() []string {
	return []string{"http:503@0.3", "cut_body@0.3", "truncated@0.3", "code:1@0.3", "partial:0.1", "empty@0.3", "unknown_status:0.1", "both_lists:0.1"}
}

func figure(t *testing.T, who contender, act, what string, value any) {
	t.Logf("| %s | %s | %s | %v |", act, what, who.name, value)
}

// budget: 4,000 users, six sweeps, due again every second; then the same with a third of the answers failing.
func budget(t *testing.T, who contender) {
	for _, fault := range []string{"", "http:503@0.3"} {
		s := newStage(t, who, 4000, "@every 1s")
		s.start()
		s.sweeps(1)
		if fault != "" {
			s.fault(fault)
		}
		from := s.zim.Stats().Arrivals
		s.sweeps(6)
		memory := s.memory()
		s.stop(syscall.SIGTERM)
		arrivals, _ := s.zim.Arrivals(from)
		over, most := windows(arrivals, 20)
		act := "budget " + fault
		figure(t, who, act, "requests", len(arrivals))
		figure(t, who, act, "sliding seconds over 20", over)
		figure(t, who, act, "most in one", most)
		figure(t, who, act, "refused by ZIM", s.zim.Stats().Refused)
		figure(t, who, act, "requests a second", fmt.Sprintf("%.1f", float64(len(arrivals)-1)/(arrivals[len(arrivals)-1]-arrivals[0]).Seconds()))
		figure(t, who, act, "most memory", memory)
	}
}

// memory is the most that the process has held, as the kernel says; Linux only.
func (s *stage) memory() string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	line, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(line)
}

// nonsense: nobody comes or goes; whatever is told is false.
func nonsense(t *testing.T, who contender, fault string) {
	s := newStage(t, who, 1000, "@every 2s")
	s.start()
	s.sweeps(2)
	before := len(s.ear.events())
	s.fault(fault)
	s.sweeps(4)
	s.sim.ClearFaults()
	s.sweeps(2)
	s.stop(syscall.SIGTERM)
	figure(t, who, "nonsense "+fault, "false events", len(s.ear.events())-before)
}

// kills: the program is killed ten times at random moments, and started again at once.
func kills(t *testing.T, who contender) {
	s := newStage(t, who, 1000, "@every 2s")
	s.bustle("ten kills", func() {
		for range 10 {
			<-time.After(3*time.Second + time.Duration(rand.IntN(2000))*time.Millisecond)
			s.stop(syscall.SIGKILL)
			s.start()
		}
	})
	_, most := windows(first(s.zim.Arrivals(0)), 20)
	figure(t, who, "ten kills", "most requests in a sliding second", most)
}

// outages: the NATS server is stopped five times for three seconds.
func outages(t *testing.T, who contender) {
	s := newStage(t, who, 1000, "@every 2s")
	s.bustle("five outages of NATS", func() {
		for range 5 {
			<-time.After(3 * time.Second)
			s.nats.Stop()
			<-time.After(3 * time.Second)
			s.nats.Start()
		}
	})
}

// bustle has 50 users change every 200 ms while something happens, and then holds what was told against the truth.
func (s *stage) bustle(act string, happens func()) {
	dice := rand.New(rand.NewPCG(1, 1))
	_, truth := s.zim.Truth()
	last := map[string]string{}
	for id, state := range truth {
		last[id] = word(state) // what a subscriber knows at first, by whatever means
	}
	s.start()
	s.sweeps(2)
	turning, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case <-turning:
				return
			case <-time.After(200 * time.Millisecond):
				s.turn(dice, 50)
			}
		}
	}()
	happens()
	close(turning)
	<-over
	s.sweeps(4)
	s.stop(syscall.SIGTERM)
	_, truth = s.zim.Truth()
	events, doubled, wrong := s.ear.events(), 0, 0
	for _, e := range events {
		if e.kind != "baseline" && last[e.user] == e.status {
			doubled++
		}
		last[e.user] = e.status
	}
	for id, state := range truth {
		if last[id] != word(state) {
			wrong++
		}
	}
	figure(s.t, s.who, act, "events", len(events))
	figure(s.t, s.who, act, "events that say what was known", doubled)
	figure(s.t, s.who, act, "users of 1,000 told wrongly at the end, for good", wrong)
}

// turn has so many users come or go.
func (s *stage) turn(dice *rand.Rand, users int) {
	_, now := s.zim.Truth()
	turn := map[string]zimsim.State{}
	for range users {
		id := s.users[dice.IntN(len(s.users))]
		if turn[id] = zimsim.LoggedOut; now[id] != zimsim.Online {
			turn[id] = zimsim.Online
		}
	}
	if _, err := s.zim.SetAll(turn); err != nil {
		s.t.Error(err)
	}
}

func first[T, U any](value T, _ U) T { return value }

func word(s zimsim.State) string {
	if s == zimsim.Online {
		return "online"
	}
	return "offline"
}
