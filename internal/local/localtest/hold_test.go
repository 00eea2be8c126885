package localtest

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A lock that was given back is still held by a process that was forked meanwhile, and has yet to run its program.
func TestHoldWaitsForThoseForkedMeanwhile(t *testing.T) {
	dir := t.TempDir()
	first, err := hold(dir)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), "cat")
	child.ExtraFiles = append(child.ExtraFiles, first) // it keeps what a fork gives to all
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	third, err := syscall.Open(filepath.Join(dir, "postgres.lock"), syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(third) }()
	if err := syscall.Flock(third, syscall.LOCK_EX|syscall.LOCK_NB); err != syscall.EWOULDBLOCK {
		t.Fatalf("the lock that a child has: %v, want that it is held", err)
	}
	held := make(chan error)
	go func() {
		again, err := hold(dir)
		if err == nil {
			err = again.Close()
		}
		held <- err
	}()
	if err := in.Close(); err != nil { // the child ends
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := <-held; err != nil {
		t.Errorf("hold() = %v, want that it waits", err)
	}
}
