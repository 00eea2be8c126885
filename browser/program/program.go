// Package program runs the real thing: the poller, built from this tree, and its
// simulated ZIM.
package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// App is the app that is polled, and Secret its secret.
const (
	App    = 1234567890
	Secret = "0123456789abcdef0123456789abcdef"
)

// Build builds the poller of the tree into a directory and returns its path. It is called
// in the directory of this module. VERSION in the environment is what it says it is.
func Build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "poller")
	build := exec.CommandContext(ctx, "go", "build", "-ldflags", "-X main.version="+os.Getenv("VERSION"), "-o", binary, "./cmd/poller")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return binary, nil
}

// World is a poller with its own Postgres and NATS, and a simulated ZIM.
type World struct {
	Page    string // its address
	Control string // of the simulator

	dir    string
	binary string
	env    []string
	began  []*process
}

// Start starts a simulator and a poller, and waits until that is ready. Options are
// those of the simulator, env more of the poller's environment.
func Start(ctx context.Context, binary string, options, env []string) (*World, error) {
	ports, err := free(ctx, 4)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "poller-page-")
	if err != nil {
		return nil, err
	}
	at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	w := &World{Page: "http://" + at(0), Control: "http://" + at(1), dir: dir, binary: binary}
	// Postgres, which does not run as root, has to get through to its own.
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	w.env = append(append(plain(os.Environ()),
		fmt.Sprint("POLLER_ZIM_APP_ID=", App), "POLLER_ZIM_SERVER_SECRET="+Secret, "POLLER_ZIM_BASE_URL=http://"+at(2),
		"POLLER_DATA_DIR="+filepath.Join(dir, "data"), "POLLER_HTTP_LISTEN="+at(0), "POLLER_NATS_LISTEN="+at(3)), env...)
	simulator := append([]string{"zim-simulator", "--listen", at(2), "--control", at(1), "--app-id", fmt.Sprint(App), "--secret", Secret}, options...)
	for _, args := range [][]string{simulator, {"run"}} {
		p, err := begin(ctx, binary, w.env, args...)
		if err != nil {
			return nil, errors.Join(err, w.Close())
		}
		w.began = append(w.began, p)
	}
	if err := w.answers(ctx); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// plain is the environment without what configures a poller.
func plain(environ []string) (kept []string) {
	for _, e := range environ {
		if !strings.HasPrefix(e, "POLLER_") {
			kept = append(kept, e)
		}
	}
	return kept
}

// free finds ports that nobody listens on.
func free(ctx context.Context, n int) (ports []uint16, err error) {
	for range n {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		at, err := netip.ParseAddrPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, at.Port())
	}
	return ports, nil
}

// answers waits until the poller is ready.
func (w *World) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if err := ask(ctx, http.MethodGet, w.Page+"/readyz", ""); err == nil {
			return nil
		}
		for _, p := range w.began {
			select {
			case <-p.ended:
				return fmt.Errorf("%s ended:\n%s", p.name, p.output())
			default:
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the poller is not ready:\n%s", w.began[len(w.began)-1].output())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Watch adds users to the watchlist.
func (w *World) Watch(ctx context.Context, users ...string) error {
	add := exec.CommandContext(ctx, w.binary, "watch", "import", "-")
	add.Env, add.Stdin = w.env, strings.NewReader(strings.Join(users, "\n")+"\n")
	if out, err := add.CombinedOutput(); err != nil {
		return fmt.Errorf("watch: %w\n%s", err, out)
	}
	return nil
}

// Set sets the state of a user in the simulator: online, timeout or no_session.
func (w *World) Set(ctx context.Context, user, state string) error {
	return ask(ctx, http.MethodPut, w.Control+"/users/"+user, `{"state":"`+state+`"}`)
}

// Fault makes the simulator fail, as its control is told.
func (w *World) Fault(ctx context.Context, fault string) error {
	return ask(ctx, http.MethodPut, w.Control+"/faults", fault)
}

// Mend ends all faults.
func (w *World) Mend(ctx context.Context) error {
	return ask(ctx, http.MethodDelete, w.Control+"/faults", "")
}

// StopZIM stops the simulator: from now on nothing answers there.
func (w *World) StopZIM() error {
	simulator := w.began[0]
	w.began = w.began[1:]
	return simulator.stop()
}

// Close stops everything, the newest first, waits until it has ended, and removes its
// files.
func (w *World) Close() error {
	var errs []error
	for i := len(w.began) - 1; i >= 0; i-- {
		errs = append(errs, w.began[i].stop())
	}
	return errors.Join(append(errs, os.RemoveAll(w.dir))...)
}

func ask(ctx context.Context, method, address, body string) error {
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); answer.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s %s", method, address, answer.Status, text)
	}
	return nil
}

// process is one that was started.
type process struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has
	err   error         // why, then

	mu  sync.Mutex // guards said
	out bytes.Buffer
}

// begin starts a process, which goes on until it is stopped.
func begin(ctx context.Context, binary string, env []string, args ...string) (*process, error) {
	p := &process{name: "poller " + args[0], cmd: exec.CommandContext(context.WithoutCancel(ctx), binary, args...), ended: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, p, p
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// Write keeps what it says.
func (p *process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(text)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// stop asks it to stop, and waits until it has.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w\n%s", p.name, p.err, p.output())
	}
	return nil
}
