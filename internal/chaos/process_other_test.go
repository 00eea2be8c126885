//go:build !linux

package chaos

import "syscall"

// dying keeps a Ctrl-C at the terminal from a child; the test ends it.
func dying() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
