//go:build !linux

package main

import (
	"fmt"
	"syscall"
)

// space returns the room that is left where a path is, in bytes, and the kind of file system.
func space(path string) (free int64, kind string, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, "", fmt.Errorf("look at the file system: %w", err)
	}
	return int64(s.Bavail) * int64(s.Bsize), "file system unknown", nil
}
