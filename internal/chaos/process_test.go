package chaos

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// process is a child. Its standard error goes to the end of a file.
type process struct {
	pid  int
	out  io.Reader     // its standard output
	done chan struct{} // closed when it has ended
	code int           // -1 for a signal; set before done is closed

	logged int64 // how long the log was when it was started
}

// launch starts a child that dies with this process.
func launch(logFile string, env []string, program string, args ...string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stderr, cmd.SysProcAttr = env, log, dying()
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = in
	p := &process{out: out, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// To the kernel the parent is the thread, not the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		_, _ = log.Close(), in.Close() // the child has its own
		started <- err
		if err == nil {
			_ = cmd.Wait() // the exit code says how it ended
			p.code = cmd.ProcessState.ExitCode()
			_ = out.Close()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

// signal sends a signal; a process that has ended cannot be hurt by it.
func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(p.pid, s)
	}
}

// end kills it and waits until it has ended.
func (p *process) end() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// lastLines returns the end of a log.
func lastLines(file string, n int) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// size is a log's length; 0 for none yet.
func size(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}

// said tells whether a log has a text behind a place.
func said(file string, behind int64, text string) bool {
	all, err := os.ReadFile(file)
	return err == nil && bytes.Contains(all[min(behind, int64(len(all))):], []byte(text))
}

// blamed returns what a log says that no program may say: of a data race or a
// panic, with the lines behind it.
func blamed(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	for _, word := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: "} {
		if i := bytes.Index(text, []byte(word)); i >= 0 {
			return string(text[i:min(len(text), i+4000)])
		}
	}
	return ""
}
