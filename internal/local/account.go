package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is who Postgres runs as. It refuses to be root.
type account struct {
	name     string
	uid, gid uint32
	other    bool // not the account of this process
}

// accountFor picks the account: our own, or for root the owner of the existing data, else the first of
// postgres and nobody that exists.
func accountFor(data string) (account, error) {
	if uid := os.Geteuid(); uid != 0 {
		return account{name: strconv.Itoa(uid), uid: uint32(uid), gid: uint32(os.Getegid())}, nil
	}
	if uid, _, ok := ownerOf(data); ok && uid != 0 {
		if u, err := user.LookupId(strconv.Itoa(int(uid))); err == nil {
			return otherAccount(u)
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return otherAccount(u)
		}
	}
	return account{}, errors.New("postgres does not run as root, and there is neither a user postgres nor a user nobody to run it as")
}

func otherAccount(u *user.User) (account, error) {
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("uid of %s: %w", u.Username, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("gid of %s: %w", u.Username, err)
	}
	return account{name: u.Username, uid: uint32(uid), gid: uint32(gid), other: true}, nil
}

// credential makes a child run as the account; nil if it does so anyway.
func (a account) credential() *syscall.Credential {
	if !a.other {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

// own gives a directory to the account and closes it to everybody else.
func (a account) own(dir string) error {
	if a.other {
		if err := os.Chown(dir, int(a.uid), int(a.gid)); err != nil {
			return fmt.Errorf("give %s to user %s: %w", dir, a.name, err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("close %s to others: %w", dir, err)
	}
	return nil
}

// reachable refuses a directory that is yet to be made where the account could not pass through what is above it, so
// that nothing of the attempt is left behind. In one that is there something may run.
func reachable(dir string) error {
	above := dir
	for missing := true; missing; {
		_, err := os.Stat(above)
		if missing = errors.Is(err, fs.ErrNotExist); missing {
			above = filepath.Dir(above)
		}
	}
	if above == dir {
		return nil
	}
	a, err := accountFor(dir)
	if err != nil {
		return err
	}
	return a.reaches(above)
}

// reaches says whether the account may pass through dir and everything above it.
func (a account) reaches(dir string) error {
	for a.other {
		st, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
		if !a.mayPass(st) {
			return fmt.Errorf("user %s, as whom postgres runs because this process is root, may not pass through %s (mode %04o): "+
				"choose a data directory that it may reach, such as POLLER_DATA_DIR=/var/lib/poller, or run: chmod o+x %s", a.name, dir, st.Mode().Perm(), dir)
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		break
	}
	return nil
}

func (a account) mayPass(st fs.FileInfo) bool {
	mode := st.Mode().Perm()
	sys, ok := st.Sys().(*syscall.Stat_t)
	switch {
	case ok && sys.Uid == a.uid:
		return mode&0o100 != 0
	case ok && sys.Gid == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

// ownerOf tells who owns a file and how it is protected; a link is not followed.
func ownerOf(path string) (uid uint32, mode fs.FileMode, ok bool) {
	st, err := os.Lstat(path)
	if err != nil {
		return 0, 0, false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return sys.Uid, st.Mode(), true
}
