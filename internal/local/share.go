package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// retryEvery is how long to wait between two looks at something that another process does.
	retryEvery = 20 * time.Millisecond

	// vacantEvery is how long to wait between two looks at whether the process that runs a part has ended.
	vacantEvery = 250 * time.Millisecond

	// aliveWithin is how long a published address may take to answer before it counts as dead.
	aliveWithin = 2 * time.Second
)

// share lets one process run a part and all others use it.
type share struct {
	name        string // for errors
	lockFile    string // flock: held by the process that runs the part
	addressFile string // where the part can be reached, present while it can

	// alive tells whether the part answers at an address.
	alive func(ctx context.Context, address string) error
}

// enter returns the held lock if the caller is to run the part, or else the address of the part that
// another process runs, found to be alive. It waits for an owner that is still starting or stopping until
// the context ends.
func (s share) enter(ctx context.Context) (lock *os.File, address string, err error) {
	if err := os.MkdirAll(filepath.Dir(s.lockFile), 0o755); err != nil {
		return nil, "", fmt.Errorf("data directory: %w", err)
	}
	for {
		lock, err := s.tryLock()
		if err != nil {
			return nil, "", err
		}
		if lock != nil {
			s.withdraw()
			return lock, "", nil
		}
		if address := s.running(ctx); address != "" {
			return nil, address, nil
		}
		select {
		case <-ctx.Done():
			return nil, "", fmt.Errorf("wait for %s of process %s: %w", s.name, s.owner(), context.Cause(ctx))
		case <-time.After(retryEvery):
		}
	}
}

// inherit waits until the process that runs the part at an address has ended, and returns the held lock. It
// gives up when another process has come first, and runs the part elsewhere.
func (s share) inherit(ctx context.Context, address string) (*os.File, error) {
	for {
		lock, err := s.tryLock()
		if err != nil {
			return nil, err
		}
		if lock != nil {
			s.withdraw()
			return lock, nil
		}
		if now := s.published(); now != "" && now != address {
			return nil, fmt.Errorf("%s is at another address now: %s", s.name, now)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(vacantEvery):
		}
	}
}

// vacant tells whether nobody runs the part at an address any more, or who does is about to stop.
func (s share) vacant(address string) bool {
	if s.published() != address {
		return true
	}
	f, err := os.Open(s.lockFile)
	if err != nil {
		return true
	}
	defer func() { _ = f.Close() }() // gives the lock back
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil
}

// tryLock returns the lock, or nil if another process, or another opener in this one, holds it.
func (s share) tryLock() (*os.File, error) {
	f, err := os.OpenFile(s.lockFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock of %s: %w", s.name, err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		_ = f.Close()
		return nil, nil
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", s.lockFile, err)
	}
	return f, nil
}

// running returns the published address if the part answers there, or "".
func (s share) running(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, aliveWithin)
	defer cancel()
	address := s.published()
	if address == "" || s.alive(ctx, address) != nil {
		return ""
	}
	return address
}

// published returns the address in the file, or "".
func (s share) published() string {
	b, err := os.ReadFile(s.addressFile)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// publish makes the address known to those who wait in enter. Nobody ever reads half of it.
func (s share) publish(address string) error {
	f, err := os.CreateTemp(filepath.Dir(s.addressFile), filepath.Base(s.addressFile)+".*")
	if err != nil {
		return fmt.Errorf("address of %s: %w", s.name, err)
	}
	_, err = fmt.Fprintln(f, address)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.addressFile)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("address of %s: %w", s.name, err)
	}
	return nil
}

// withdraw takes the address back. Only the holder of the lock may call it.
func (s share) withdraw() {
	// An address that stays is found dead by whoever tries it.
	_ = os.Remove(s.addressFile)
}

// owner is the pid in the lock file, for an error text.
func (s share) owner() string {
	b, err := os.ReadFile(s.lockFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "(none)"
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return "(unknown)"
	}
	return strconv.Itoa(pid)
}
