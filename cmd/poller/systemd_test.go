package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/status"
)

// supervised is what systemd was told, with when.
type supervised struct {
	mu    sync.Mutex
	lines []string
	fed   []time.Time
}

func (h *supervised) take(state string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, line := range strings.Split(state, "\n") {
		if line == "WATCHDOG=1" {
			h.fed = append(h.fed, time.Now())
			continue
		}
		h.lines = append(h.lines, line)
	}
	return nil
}

func (h *supervised) told() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.lines)
}

func (h *supervised) feeds() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.fed)
}

// What systemd is told through a life: waiting, ready, a red check, a reload, standing
// still, stopping; and that the watchdog is fed in time until it stands still.
func TestSystemdIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h supervised
		var log sharedLog
		checks := status.NewChecks()
		var here atomic.Int32
		s := &systemd{
			polled: func() (int, int) { return int(here.Load()), 2 }, checks: checks, there: true, send: h.take, allowed: 30 * time.Second, log: zerolog.New(&log),
		}
		running, end := context.WithCancel(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { checks.Run(running, zerolog.Nop()) })
		stop := s.run(ctx)
		checks.Set("postgres", errors.New("connection refused\nsecond line"))
		s.reload()() // nothing to be said yet
		time.Sleep(20 * time.Second)
		checks.Set("postgres", nil)
		s.begin() // and no app has come so far yet that it has a check
		time.Sleep(time.Second)
		checks.Expect("lease/1", 0)
		checks.Set("lease/2", nil)
		time.Sleep(20 * time.Second)
		checks.Set("lease/1", nil)
		here.Store(1)
		time.Sleep(20 * time.Second)
		checks.Set("nats", errors.New("away"))
		time.Sleep(20 * time.Second)
		done := s.reload()
		time.Sleep(time.Second)
		done()
		checks.Set("nats", nil)
		time.Sleep(20 * time.Second)
		fed := h.feeds()
		if want := int(time.Minute/(15*time.Second)) + 2; fed < want {
			t.Errorf("fed %d times in 101 s, want every 15 s", fed)
		}
		for i := 1; i < fed; i++ {
			if gap := h.fed[i].Sub(h.fed[i-1]); gap > 15*time.Second {
				t.Errorf("fed after %s, of 30 s that are allowed", gap)
			}
		}
		checks.Pulse("sweep/1", func(time.Time) error { return errors.New("not moved") })
		time.Sleep(2 * time.Second)
		fed = h.feeds()
		time.Sleep(time.Minute)
		if n := h.feeds() - fed; n != 0 {
			t.Errorf("fed %d times though the process stands still", n)
		}
		if n := strings.Count(log.String(), "not fed any more"); n != 1 {
			t.Errorf("it was said %d times that the watchdog is not fed, want once: %s", n, &log)
		}
		cancel()
		time.Sleep(time.Minute)
		if n := h.feeds() - fed; n < 4 {
			t.Errorf("fed %d times in a minute of stopping, want every 15 s", n)
		}
		stop()
		end()
		all.Wait()
		told := h.told()
		mono := regexp.MustCompile(`^MONOTONIC_USEC=[0-9]+$`)
		for i, line := range told {
			if mono.MatchString(line) {
				told[i] = "MONOTONIC_USEC"
			}
		}
		want := []string{
			"STATUS=starting",
			"STATUS=starting; postgres: connection refused second line",
			"STATUS=starting; lease/1: has not reported yet",
			"READY=1", "STATUS=polling 1 of 2 apps; all checks are green",
			"STATUS=polling 1 of 2 apps; red: nats; nats: away",
			"RELOADING=1", "MONOTONIC_USEC", "READY=1",
			"STATUS=polling 1 of 2 apps; all checks are green",
			"STOPPING=1", "STATUS=stopping: telling what is left, and giving leases back",
		}
		if got := slices.DeleteFunc(told, func(l string) bool { return l == "STATUS=starting" }); !slices.Equal(got, want[1:]) {
			t.Errorf("told:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want[1:], "\n"))
		}
	})
}

// listen is the socket of systemd.
func (h *supervised) listen(t *testing.T) (path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") //nolint:usetesting // that of the test may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path = filepath.Join(dir, "s")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		b := make([]byte, 64<<10)
		for {
			n, err := socket.Read(b)
			if err != nil {
				return
			}
			_ = h.take(string(b[:n]))
		}
	})
	t.Cleanup(func() { _ = socket.Close(); reading.Wait() })
	return path
}

// The program tells a real socket: ready when it polls and not before, fed while it
// goes, stopping at the end, and that it waits while the database is away.
func TestSystemdSocket(t *testing.T) {
	t.Parallel()
	var h supervised
	w := newWorld(t, "NOTIFY_SOCKET="+h.listen(t), "WATCHDOG_USEC=1000000")
	w.exec(`drop schema public cascade`)
	w.exec(`create schema public`)
	daemon := w.start("run", "--no-migrate")
	w.until("it says that it waits", func() bool {
		return slices.ContainsFunc(h.told(), func(l string) bool { return strings.HasPrefix(l, "STATUS=starting; ") && strings.Contains(l, "schema") })
	})
	if slices.Contains(h.told(), "READY=1") {
		t.Error("ready without a schema")
	}
	if out, code := w.run("migrate"); code != 0 {
		t.Fatalf("poller migrate: exit code %d, %q", code, out)
	}
	w.until("ready", func() bool { return slices.Contains(h.told(), "READY=1") })
	if n := w.count(`select count(*) from apps where owner is not null`); n != 1 {
		t.Errorf("%d apps are held when it says that it is ready, want 1", n)
	}
	fed := h.feeds()
	w.until("the watchdog is fed", func() bool { return h.feeds() >= fed+3 })
	w.until("the line says what it does", func() bool { return slices.Contains(h.told(), "STATUS=polling 1 of 1 app; all checks are green") })
	daemon.stop()
	told := h.told()
	if i := slices.Index(told, "STOPPING=1"); i < 0 || slices.Contains(told[i:], "READY=1") {
		t.Errorf("told %s, want STOPPING=1 at its end", fmt.Sprint(told))
	}
}
