package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Whoever was there first runs the embedded parts for everybody. When that ends, in order or killed, a daemon takes them
// over and goes on; a command that has nobody left to lean on ends, and says why.
func TestEmbeddedPartsAreTakenOver(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "poller-embedded-*") //nolint:usetesting // t.TempDir is where the account of Postgres cannot pass
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "POLLER_DATABASE_URL=", "POLLER_NATS_URL=", "POLLER_DATA_DIR="+filepath.Join(dir, "data"), "POLLER_NATS_LISTEN=127.0.0.1:0",
		"POLLER_HTTP_LISTEN=127.0.0.1:0")
	users := population(100)
	w.set(users)
	for _, command := range [][]string{append([]string{"watch", "add"}, keys(users)...), {"sweep"}} {
		if out, code := w.run(command...); code != 0 {
			t.Fatalf("poller %s: exit code %d, %s", command[0], code, out)
		}
	}
	replay := []string{"replay", "--name", "slow", "--rate", "0.1"}
	up := filepath.Join(dir, "data", "nats.url")

	command := w.start(replay...)
	w.until("the command to run NATS", func() bool { _, err := os.Stat(up); return err == nil })
	first := w.start("run")
	w.untilReady(first)
	first.runsParts("false")
	command.stop()
	first.runsParts("true")
	w.goesOn(first)

	second := w.start("run")
	w.untilReady(second)
	second.runsParts("false")
	first.kill()
	second.runsParts("true")
	w.goesOn(second)

	third := w.start("run")
	w.untilReady(third)
	second.ownPostgresEnds(dir)
	third.runsParts("true")
	w.goesOn(third)

	command = w.start(replay...)
	w.until("the command to replay", func() bool { return command.logged("nats connected") > 0 })
	third.stop()
	const says = "belonged to another process, which has ended: start this command again"
	if code := command.ended(); code != 1 || !strings.Contains(strings.Join(command.lines, "\n"), says) {
		t.Errorf("a command without its servers: exit code %d, want 1 and %q", code, says)
	}
}

// ownPostgresEnds kills the embedded Postgres of a daemon, which ends with it.
func (p *process) ownPostgresEnds(dir string) {
	p.w.t.Helper()
	file, err := os.ReadFile(filepath.Join(dir, "data", "postgres", "postmaster.pid"))
	if err != nil {
		p.w.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(file), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		p.w.t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		p.w.t.Fatal(err)
	}
	const says = "the embedded postgres has ended"
	if code := p.ended(); code != 1 || !strings.Contains(p.lines[len(p.lines)-1], says) {
		p.w.t.Errorf("a daemon whose own Postgres was killed: exit code %d, %s; want 1 and %q", code, p.lines[len(p.lines)-1], says)
	}
}

// runsParts waits until a daemon says that it runs both embedded parts, or that another process does.
func (p *process) runsParts(ours string) {
	p.w.t.Helper()
	p.w.until("embedded parts that are ours: "+ours, func() bool {
		return p.field("embedded postgres", "ours") == ours && p.field("embedded nats", "ours") == ours
	})
}

// goesOn waits until a daemon has swept again and is green.
func (w *world) goesOn(p *process) {
	w.t.Helper()
	before := p.logged("sweep ended")
	w.until("sweeps to go on", func() bool { return p.logged("sweep ended") > before+1 })
	w.untilReady(p)
}
