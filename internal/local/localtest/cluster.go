package localtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/local"
)

const (
	// connections is how many sessions a test cluster takes: tests run in parallel, each with a pool.
	connections = 200

	// startWithin bounds a start on a machine that is busy with other tests.
	startWithin = 2 * time.Minute

	// dirPattern names the directories of test clusters in the temporary directory.
	dirPattern = "poller-test-*"

	// youngest is the age under which a directory may belong to a process that has yet to lock it.
	youngest = time.Minute
)

// cluster is a Postgres in a directory of its own, which can be started and stopped many times.
type cluster struct {
	dir string

	mu     sync.Mutex
	server *local.PostgresServer // nil while stopped
	dsn    string                // stays the same over restarts
}

// newCluster starts a cluster in a new directory.
func newCluster() (*cluster, error) {
	if err := sweep(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", dirPattern)
	if err != nil {
		return nil, fmt.Errorf("test cluster: %w", err)
	}
	c := &cluster{dir: dir}
	// The account that Postgres runs as must be able to pass.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, errors.Join(err, c.remove())
	}
	if err := c.start(); err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

func (c *cluster) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	server, err := local.OpenPostgres(ctx, local.Postgres{
		Dir:            c.dir,
		Throwaway:      true,
		MaxConnections: connections,
		Log:            zerolog.Nop(),
	})
	if err != nil {
		return err
	}
	c.server, c.dsn = server, server.DSN()
	return nil
}

func (c *cluster) stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		return nil
	}
	err := c.server.Close()
	c.server = nil
	return err
}

// remove stops the cluster and removes all that it kept.
func (c *cluster) remove() error {
	return errors.Join(c.stop(), os.RemoveAll(c.dir))
}

// sweep removes what test processes that are gone have left behind.
func sweep() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), dirPattern))
	if err != nil {
		return fmt.Errorf("old test clusters: %w", err)
	}
	for _, dir := range dirs {
		if !abandoned(dir) {
			continue
		}
		// Another process may be at it too: what stays is for the next sweep.
		_ = os.RemoveAll(dir)
	}
	return nil
}

// abandoned tells whether a directory is ours and no living process runs a Postgres in it.
func abandoned(dir string) bool {
	st, err := os.Lstat(dir)
	if err != nil || !st.IsDir() || time.Since(st.ModTime()) < youngest {
		return false
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); !ok || int(sys.Uid) != os.Geteuid() {
		return false
	}
	lock, err := os.Open(filepath.Join(dir, "postgres.lock"))
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	defer func() { _ = lock.Close() }()
	return syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
