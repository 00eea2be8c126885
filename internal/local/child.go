package local

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// pipesOpen is how long descendants of a child that is gone may keep its output open.
const pipesOpen = 10 * time.Second

// child is a program that runs as another account and dies with this process where the system can do that.
// One goroutine owns it from its start to its end.
type child struct {
	log     *pglog
	process *os.Process
	exited  chan struct{} // closed when it and its descendants have let go of its output
	err     error         // how it ended; set before exited is closed
}

// launch starts a program. Its environment is made of little: what this process has in its own, secrets
// among it, is not for another account to read.
func launch(a account, log zerolog.Logger, dir, program string, args ...string) (*child, error) {
	c := &child{log: &pglog{log: log}, exited: make(chan struct{})}
	cmd := exec.Command(program, args...) //nolint:noctx // it lives until it is stopped in its own way, not until a context ends
	cmd.Dir = dir
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC"}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Stdout, cmd.Stderr = c.log, c.log
	cmd.WaitDelay = pipesOpen
	// A Ctrl-C at the terminal is for us: Postgres is to stop after we have finished with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: a.credential()}
	dieWithParent(cmd.SysProcAttr)

	started := make(chan error)
	go func() {
		// To the kernel the parent is the thread that started the child, not the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(c.exited)
		err := cmd.Start()
		c.process = cmd.Process
		started <- err
		if err == nil {
			c.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s as user %s: %w", program, a.name, err)
	}
	return c, nil
}

// wait waits for the end of a child that ends by itself, and kills it when the context ends first.
func (c *child) wait(ctx context.Context) error {
	select {
	case <-c.exited:
	case <-ctx.Done():
		c.signal(syscall.SIGKILL)
		<-c.exited
		return context.Cause(ctx)
	}
	if c.err != nil {
		return fmt.Errorf("%w:\n%s", c.err, c.log.tail())
	}
	return nil
}

// signal sends a signal; a child that is gone cannot be hurt by it.
func (c *child) signal(s os.Signal) { _ = c.process.Signal(s) }

// over tells whether the child has ended.
func (c *child) over() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// stopPostmaster asks Postgres to stop, more and more firmly, and returns when it has.
func (c *child) stopPostmaster() error {
	c.log.setServing(false)
	for _, step := range []struct {
		signal   os.Signal
		patience time.Duration
	}{
		{syscall.SIGINT, 30 * time.Second},  // fast: sessions are ended, everything is written
		{syscall.SIGQUIT, 10 * time.Second}, // immediate: the next start recovers from the log
		{syscall.SIGKILL, 10 * time.Second},
	} {
		if c.over() {
			break
		}
		c.signal(step.signal)
		select {
		case <-c.exited:
		case <-time.After(step.patience):
		}
	}
	if !c.over() {
		return fmt.Errorf("postgres, process %d, does not stop", c.process.Pid)
	}
	if c.err != nil {
		return fmt.Errorf("postgres ended: %w", c.err)
	}
	return nil
}
