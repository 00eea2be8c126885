package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// demoPatience bounds every wait of these tests.
const demoPatience = time.Minute

// terminal is where a demo writes; tests wait for what it shows.
type terminal struct {
	mu      sync.Mutex
	text    strings.Builder
	written chan struct{} // holds one when there is more
}

func newTerminal() *terminal { return &terminal{written: make(chan struct{}, 1)} }

func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case t.written <- struct{}{}:
	default:
	}
	return t.text.Write(p)
}

func (t *terminal) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// await waits until what was written matches, and returns the groups.
func (t *terminal) await(tb testing.TB, pattern string) []string {
	tb.Helper()
	expression, late := regexp.MustCompile(pattern), time.After(demoPatience)
	for {
		if found := expression.FindStringSubmatch(t.String()); found != nil {
			return found
		}
		select {
		case <-t.written:
		case <-late:
			tb.Fatalf("%q was not shown:\n%s", pattern, t.String())
		}
	}
}

// demoPlace is an empty temporary directory, of which everybody may pass the way
// to it. After the test it has to be empty again, and no goroutine to be left.
func demoPlace(t *testing.T) (dir string) {
	t.Helper()
	running := goleak.IgnoreCurrent()
	dir = t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		goleak.VerifyNone(t, running, localtest.ServerLeaks())
	})
	return dir
}

// testShow is small, fast, and takes no port that somebody may want.
func testShow() *show {
	return &show{
		population: zimsim.Living{Users: 400, Speed: 200, Hour: startHour},
		news:       &newsroom{}, nats: "127.0.0.1:0", http: "127.0.0.1:0",
	}
}

// perform runs a demo in the background; end ends it and returns its error.
func perform(t *testing.T, run func(context.Context) error) (end func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	end = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = end() })
	return end
}

func TestDemoInLines(t *testing.T) {
	demoPlace(t)
	out, warnings := newTerminal(), newTerminal()
	end := perform(t, func(ctx context.Context) error { return testShow().inLines(ctx, out, warnings) })

	url := out.await(t, `nats sub -s (\S+) 'presence\.v1\.\*\.online\.>'`)[1]
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	sub, err := nc.SubscribeSync("presence.v1.*.online.>")
	if err != nil {
		t.Fatal(err)
	}
	message, err := sub.NextMsg(demoPatience)
	if err != nil {
		t.Fatal(err)
	}
	e, err := presence.ParseEvent(message.Data)
	if err != nil || e.Kind != presence.KindOnline {
		t.Errorf("subscribed to online: %+v, %v", e, err)
	}
	out.await(t, `baseline  \d+ users answered for the first time`)
	out.await(t, `online    `+e.User.ID+` .*in the \d+\.\d s before .*#`+strconv.FormatInt(e.Seq, 10)+`\n`)
	out.await(t, `sweep 1  400 of 400 seen, 0 missed, 400 changes, 4 requests`)
	if got := countPresence(t, out.await(t, `dsn        (\S+)`)[1]); got != 400 {
		t.Errorf("users in the view presence: %d, want 400", got)
	}
	nc.Close()
	if err := end(); err != nil {
		t.Errorf("asked to end: %v", err)
	}
	out.await(t, `poller demo: sweeps \d+, requests \d+ \(at most \d+ in a second\), events \d+; all is stopped and removed\n$`)
	if text := warnings.String(); text != "" {
		t.Errorf("warnings:\n%s", text)
	}
}

func countPresence(t *testing.T, dsn string) (n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), demoPatience)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, "select count(*) from presence where status <> 'unknown'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDemoOnScreen(t *testing.T) {
	demoPlace(t)
	keyboard, keys, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer keyboard.Close()
	defer keys.Close()
	out := newTerminal()
	end := perform(t, func(ctx context.Context) error {
		return testShow().onScreen(ctx, out, tea.WithInput(keyboard), tea.WithWindowSize(100, 30),
			tea.WithEnvironment([]string{"TERM=xterm-256color"}))
	})
	out.await(t, `in the .* before`)
	if _, err := io.WriteString(keys, "q"); err != nil {
		t.Fatal(err)
	}
	out.await(t, `all is stopped and removed\n$`)
	if err := end(); err != nil {
		t.Errorf("asked to end: %v", err)
	}
	if text := out.String(); strings.Count(text, "\x1b[?1049h") != 1 || strings.Count(text, "\x1b[?1049l") != 1 {
		t.Error("the alternate screen was not entered and left once each")
	}
}

// TestDemoStopsEarly stops at every step of the start.
func TestDemoStopsEarly(t *testing.T) {
	for name, step := range map[string]string{
		"zim": "the simulated ZIM", "postgres": "a private Postgres", "nats": "an embedded NATS", "list": "the schema and the watchlist",
	} {
		t.Run(name, func(t *testing.T) {
			demoPlace(t)
			s, ended := testShow(), make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { ended <- s.run(ctx) }()
			// A step may be over before it is seen; then it stops at a later one.
			for n := s.news.take(); n.Step != step && n.Bill.App == 0 && len(ended) == 0; n = s.news.take() {
				runtime.Gosched()
			}
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("asked to end: %v", err)
			}
		})
	}
}

func TestDemoEndsWithItsPostgres(t *testing.T) {
	dir := demoPlace(t)
	out := newTerminal()
	ended := make(chan error, 1)
	go func() { ended <- testShow().inLines(t.Context(), out, io.Discard) }()
	out.await(t, `sweep 1  `)
	found, err := filepath.Glob(filepath.Join(dir, "poller-demo-*", "postgres", "postmaster.pid"))
	if err != nil || len(found) != 1 {
		t.Fatalf("pid files: %v, %v", found, err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.SplitN(string(text), "\n", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "the demo's postgres has ended") {
			t.Errorf("got %v, want that postgres has ended", err)
		}
	case <-time.After(demoPatience):
		t.Fatal("the demo goes on without its postgres")
	}
}

// TestDemoCannotStart has no directory to be in.
func TestDemoCannotStart(t *testing.T) {
	dir := demoPlace(t)
	t.Setenv("TMPDIR", filepath.Join(dir, "missing"))
	out := newTerminal()
	if err := testShow().inLines(t.Context(), out, io.Discard); !errors.Is(err, os.ErrNotExist) || out.String() != "" {
		t.Errorf("got %v and %q, want that the directory is not there", err, out.String())
	}
}

// brokenPipe is an output whose reader has gone.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Err: syscall.EPIPE}
}

func TestDemoEndsWithItsReader(t *testing.T) {
	demoPlace(t)
	if err := testShow().inLines(t.Context(), brokenPipe{}, io.Discard); err != nil {
		t.Errorf("got %v, want none", err)
	}
}

func TestFreeAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := l.Addr().String()
	if got, err := freeAddress(t.Context(), taken); err != nil || got == taken {
		t.Errorf("while %s is taken: got %s, %v", taken, got, err)
	}
	l.Close()
	if got, err := freeAddress(t.Context(), taken); err != nil || got != taken {
		t.Errorf("when %s is free: got %s, %v", taken, got, err)
	}
}

func TestDemoFlags(t *testing.T) {
	for _, args := range [][]string{{"--users=0"}, {"--users=1000001"}, {"--speed=0"}, {"--speed=-1"}, {"--speed=NaN"}, {"--speed=1001"}} {
		var stdout, stderr strings.Builder
		code := execute(t.Context(), append([]string{"demo"}, args...), nil, &stdout, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), "want") {
			t.Errorf("%s: exit code %d, %s", fmt.Sprint(args), code, stderr.String())
		}
	}
}
