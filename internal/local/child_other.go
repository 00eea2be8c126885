//go:build !linux

package local

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// dieWithParent can do nothing here: what a killed parent left behind is stopped by the next start.
func dieWithParent(*syscall.SysProcAttr) {}

// servesData tells whether a process is a Postgres that runs on the data in a directory, which is in its
// command line.
func servesData(pid int, data string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(out), data)
}
