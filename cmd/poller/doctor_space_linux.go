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
	switch uint32(s.Type) { //nolint:gosec // magic numbers are 32 bits
	case 0x01021994:
		kind = "tmpfs"
	case 0x6969:
		kind = "nfs"
	case 0xfe534d42, 0xff534d42:
		kind = "smb"
	case 0xef53:
		kind = "ext"
	case 0x58465342:
		kind = "xfs"
	case 0x9123683e:
		kind = "btrfs"
	case 0x794c7630:
		kind = "overlay"
	default:
		kind = fmt.Sprintf("file system %#x", uint32(s.Type)) //nolint:gosec // as above
	}
	return int64(s.Bavail) * s.Bsize, kind, nil //nolint:gosec // no disk has 2^63 blocks
}
