package local

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// dieWithParent makes the kernel end the child when its parent thread ends: SIGQUIT is an immediate
// shutdown to Postgres, and ends any other program.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }

// servesData tells whether a process is a Postgres that runs on the data in a directory, which is its
// working directory.
func servesData(pid int, data string) bool {
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil {
		return false
	}
	resolved, err := filepath.EvalSymlinks(data)
	return err == nil && cwd == resolved
}
