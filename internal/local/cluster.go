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

	"github.com/rs/zerolog"
)

// leftoverPatience is how long a Postgres that a dead process left behind may take to die.
const leftoverPatience = 15 * time.Second

// cluster is the data of one Postgres and how to run it. Only the holder of the lock may use it.
type cluster struct {
	data           string // absolute
	socket         string // directory of the socket
	account        account
	programs       programs
	throwaway      bool
	maxConnections int
	log            zerolog.Logger
}

// majorOf is the version that made the data in a directory; 0 if there is none yet.
func majorOf(data string) (int, error) {
	b, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("version of the data: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("version of the data in %s: %w", data, err)
	}
	return major, nil
}

// create makes the data if there is none. It appears whole or not at all: initdb works beside it.
func (c cluster) create(ctx context.Context) error {
	if _, err := os.Stat(c.data); err == nil {
		return nil
	}
	parent, name := filepath.Split(c.data)
	leftovers, err := filepath.Glob(filepath.Join(parent, name+".new-*"))
	if err != nil {
		return fmt.Errorf("unfinished data beside %s: %w", c.data, err)
	}
	for _, dir := range leftovers {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("unfinished data: %w", err)
		}
	}
	fresh, err := os.MkdirTemp(parent, name+".new-")
	if err != nil {
		return fmt.Errorf("new data: %w", err)
	}
	if err := c.account.own(fresh); err != nil {
		return err
	}
	if err := c.initdb(ctx, fresh); err != nil {
		return fmt.Errorf("initdb in %s: %w", fresh, err)
	}
	if err := os.Rename(fresh, c.data); err != nil {
		return fmt.Errorf("new data: %w", err)
	}
	return nil
}

func (c cluster) initdb(ctx context.Context, dir string) error {
	args := []string{
		"--pgdata", dir, "--username", superuser, "--encoding", "UTF8", "--locale", "C",
		"--auth-local", "trust", "--auth-host", "reject",
	}
	if c.throwaway {
		args = append(args, "--no-sync")
	} else {
		args = append(args, "--data-checksums")
	}
	initdb, err := launch(c.account, c.log, dir, c.programs.initdb(), args...)
	if err != nil {
		return err
	}
	return initdb.wait(ctx)
}

// settings are given on the command line, so that each start says all of them.
func (c cluster) settings() []string {
	durable := "on"
	if c.throwaway {
		durable = "off"
	}
	var args []string
	for _, setting := range []string{
		"listen_addresses=",
		"port=" + socketPort,
		"unix_socket_directories=" + c.socket,
		"unix_socket_permissions=0700",
		"max_connections=" + strconv.Itoa(c.maxConnections),
		"fsync=" + durable,
		// Without fsync it costs next to nothing, and a commit then survives a kill -9 of the server.
		"synchronous_commit=on",
		"full_page_writes=" + durable,
		// It makes code as it goes, which a hardened unit forbids: the query fails then.
		"jit=off",
		"timezone=UTC",
		"log_timezone=UTC",
		"log_destination=stderr",
		"logging_collector=off",
		"log_line_prefix=",
	} {
		args = append(args, "-c", setting)
	}
	return args
}

// postmasterPID is the process that the data says it is run by; 0 if none.
func (c cluster) postmasterPID() int {
	b, err := os.ReadFile(filepath.Join(c.data, "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 {
		return 0
	}
	return pid
}

// clearLeftovers ends a Postgres that outlived the process that had started it, waits for it, and removes
// what it left. The number in postmaster.pid may by now be that of a stranger: it is left alone, and the
// file removed, for which Postgres would otherwise refuse to start.
func (c cluster) clearLeftovers(ctx context.Context) error {
	pid := c.postmasterPID()
	if pid != 0 && servesData(pid, c.data) {
		c.log.Warn().Int("pid", pid).Str("data", c.data).Msg("postgres outlived its parent: stopping it")
		_ = syscall.Kill(pid, syscall.SIGQUIT)
		ctx, cancel := context.WithTimeout(ctx, leftoverPatience)
		defer cancel()
		for servesData(pid, c.data) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("postgres, process %d, still runs on %s and does not stop: %w", pid, c.data, ctx.Err())
			case <-time.After(retryEvery):
			}
		}
	}
	for _, path := range []string{
		filepath.Join(c.data, "postmaster.pid"),
		filepath.Join(c.socket, socketName),
		filepath.Join(c.socket, socketName+".lock"),
	} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("leftover of postgres: %w", err)
		}
	}
	return nil
}
