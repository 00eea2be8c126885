package chaos

import "syscall"

// dying has a child die with the thread that started it, however that ends.
func dying() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
