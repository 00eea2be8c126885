package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/migrations"
)

// patience is how long the tests of the whole program wait for what is bound to
// come. None of them measures by it.
const patience = 2 * time.Minute

// world is everything around the program: a Postgres database, a NATS server, a
// simulated ZIM, and the environment that points the program at them.
type world struct {
	t     testing.TB
	dsn   string
	pool  *pgxpool.Pool
	nats  *localtest.NATSServer
	js    jetstream.JetStream
	sim   *zimsim.Server
	zim   *zimsim.App
	env   []string
	appID uint32

	pooler *localtest.Pooler // nil where the program needs none
}

const (
	worldApp    = 4_000_000_001 // over 2^31, as an AppID may be
	worldSecret = "b0d1f6a3c5e7492899aabbccddeeff00"
)

func newWorld(t testing.TB, env ...string) *world {
	t.Helper()
	return newWorldOn(t, localtest.Postgres(t), env...)
}

// newWorldOn is newWorld on a certain Postgres.
func newWorldOn(t testing.TB, dsn string, env ...string) *world {
	t.Helper()
	w := &world{t: t, dsn: dsn, nats: localtest.NATS(t), appID: worldApp}
	if _, err := migrations.Up(t.Context(), w.dsn); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.pool, err = pgxpool.New(t.Context(), w.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.pool.Close)
	nc, err := nats.Connect(w.nats.URL(), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if w.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	w.sim = zimsim.New(zimsim.Config{Apps: []zimsim.AppConfig{{ID: worldApp, Secret: worldSecret}}, Seed: 7})
	if err := w.sim.Start(t.Context(), "127.0.0.1:0", ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.sim.Close)
	w.zim = w.sim.App(worldApp)
	w.env = append([]string{
		"POLLER_DATABASE_URL=" + w.dsn, "POLLER_NATS_URL=" + w.nats.URL(), "POLLER_ZIM_BASE_URL=" + w.sim.URL(),
		fmt.Sprintf("POLLER_ZIM_APP_ID=%d", uint32(worldApp)), "POLLER_ZIM_SERVER_SECRET=" + worldSecret,
		"POLLER_SCHEDULE=@every 1s", "POLLER_HTTP_LISTEN=", "POLLER_LOG_LEVEL=debug", "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"),
	}, env...)
	return w
}

// watch puts users on the watchlist as other programs do: by SQL.
func (w *world) watch(ids ...string) {
	w.exec(`insert into watched_users (app_id, user_id) select $1, unnest($2::text[])`, worldApp, ids)
}

func (w *world) unwatch(ids ...string) {
	w.exec(`delete from watched_users where app_id = $1 and user_id = any($2)`, worldApp, ids)
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(context.Background(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

func (w *world) count(sql string, args ...any) (n int) {
	w.t.Helper()
	if err := w.pool.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// set makes states visible at ZIM now.
func (w *world) set(states map[string]zimsim.State) time.Time {
	w.t.Helper()
	at, err := w.zim.SetAll(states)
	if err != nil {
		w.t.Fatal(err)
	}
	return at
}

// until waits for a condition, and looks the less often the longer that takes: many
// tests wait at a time, and looking costs.
func (w *world) until(what string, reached func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for pause := 20 * time.Millisecond; !reached(); pause = min(pause*5/4, 200*time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited %s for: %s", patience, what)
		}
		<-time.After(pause)
	}
}

// sweeps waits for n more complete sweeps that began after now.
func (w *world) sweeps(n int) {
	w.t.Helper()
	since := time.Now()
	w.until(fmt.Sprintf("%d more sweeps", n), func() bool {
		return w.count(`select count(*) from snapshots where app_id = $1 and started >= $2`, worldApp, since) >= n
	})
}

// process is the program as a process of its own.
type process struct {
	w    *world
	cmd  *exec.Cmd
	done chan struct{}
	code int

	mu     sync.Mutex
	lines  []string       // its log
	counts map[string]int // of its lines, by message
	out    bytes.Buffer
}

// start starts the program: this test binary, which runs main when it is told
// to, so that the race detector looks on.
func (w *world) start(args ...string) *process {
	w.t.Helper()
	p := &process{w: w, cmd: exec.Command(os.Args[0], args...), done: make(chan struct{}), counts: map[string]int{}}
	// Without the second the race detector waits for one at each end.
	p.cmd.Env = append([]string{"POLLER_TEST_MAIN=1", "GORACE=atexit_sleep_ms=0"}, w.env...)
	p.cmd.Stdout = &p.out
	log, err := p.cmd.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go p.read(log)
	w.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, line := range append(p.lines, p.out.String()) {
			if strings.Contains(line, worldSecret) || strings.Contains(line, "Signature=") || strings.Contains(line, "UserId%5B") {
				w.t.Errorf("a secret, a signature or a URL that holds one was printed: %s", line)
			}
		}
		if w.t.Failed() {
			w.t.Logf("log of poller %s:\n%s", strings.Join(args, " "), strings.Join(p.lines[max(0, len(p.lines)-60):], "\n"))
		}
	})
	return p
}

func (p *process) read(log io.Reader) {
	defer close(p.done)
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var fields struct{ Message string }
		said := json.Unmarshal(lines.Bytes(), &fields) == nil
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		if said {
			p.counts[fields.Message]++
		}
		p.mu.Unlock()
	}
	_ = p.cmd.Wait() // the exit code says how it ended
	p.code = p.cmd.ProcessState.ExitCode()
}

// logged counts the log's lines with a message.
func (p *process) logged(message string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[message]
}

// field returns a field of the newest log line with a message, "" for none.
func (p *process) field(message, name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range slices.Backward(p.lines) {
		fields := map[string]any{}
		if json.Unmarshal([]byte(line), &fields) == nil && fields["message"] == message {
			return fmt.Sprint(fields[name])
		}
	}
	return ""
}

// ended waits for the end and returns the exit code, -1 for a signal.
func (p *process) ended() int {
	p.w.t.Helper()
	select {
	case <-p.done:
		return p.code
	case <-time.After(patience):
		p.w.t.Fatalf("the program did not end within %s", patience)
		return 0
	}
}

// stop ends the program as a supervisor does, and checks that it is no error.
func (p *process) stop() {
	p.w.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.w.t.Fatal(err)
	}
	if code := p.ended(); code != 0 {
		p.w.t.Errorf("exit code after SIGTERM = %d, want 0", code)
	}
}

// kill ends the program without a word.
func (p *process) kill() {
	p.w.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.w.t.Fatal(err)
	}
	p.ended()
}

// run runs one command to its end and returns what it printed.
func (w *world) run(args ...string) (out string, code int) {
	w.t.Helper()
	p := w.start(args...)
	code = p.ended()
	return p.out.String(), code
}
