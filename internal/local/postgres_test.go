package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestPostgresKeepsDataOverRestart(t *testing.T) {
	for _, throwaway := range []bool{false, true} {
		t.Run(fmt.Sprintf("throwaway=%v", throwaway), func(t *testing.T) {
			p := Postgres{Dir: dataDir(t), Throwaway: throwaway, MaxConnections: 7, Log: zerolog.Nop()}
			var dsn string
			for restarts := range 3 {
				begun := time.Now()
				s, err := OpenPostgres(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("start %d: %v", restarts, time.Since(begun))
				if !s.Owned() {
					t.Errorf("start %d: not owned", restarts)
				}
				if restarts == 0 {
					dsn = s.DSN()
					query(t, dsn, "create table kept (n int)")
				}
				if s.DSN() != dsn {
					t.Errorf("start %d: DSN got %s, want %s", restarts, s.DSN(), dsn)
				}
				if got, want := query(t, dsn, "select count(*) from kept"), int64(restarts); got != want {
					t.Errorf("start %d: rows got %v, want %v", restarts, got, want)
				}
				query(t, dsn, "insert into kept values (1)")
				checkSettings(t, dsn, throwaway)
				stop(t, s)
				stop(t, s) // again is no fault
				<-s.Done()
			}
		})
	}
}

func checkSettings(t *testing.T, dsn string, throwaway bool) {
	t.Helper()
	durable := "on"
	if throwaway {
		durable = "off"
	}
	for setting, want := range map[string]string{
		"fsync":              durable,
		"full_page_writes":   durable,
		"synchronous_commit": "on",
		"listen_addresses":   "",
		"max_connections":    "7",
		"server_encoding":    "UTF8",
		"timezone":           "UTC",
		"jit":                "off",
	} {
		if got := query(t, dsn, "show "+setting); got != want {
			t.Errorf("%s: got %q, want %q", setting, got, want)
		}
	}
}

func TestPostgresStartsAtOnceAfterKilledParent(t *testing.T) {
	dir := dataDir(t)
	for round := range 4 {
		other := openElsewhere(t, "postgres", dir)
		if !other.owned {
			t.Fatalf("round %d: the other process does not own it", round)
		}
		if round == 0 {
			query(t, other.address, "create table kept (n int)")
		}
		query(t, other.address, "insert into kept values (1)")

		other.kill()

		begun := time.Now()
		s := open(t, dir)
		t.Logf("round %d: started again %v after the kill", round, time.Since(begun))
		if !s.Owned() {
			t.Errorf("round %d: not owned, but its owner is dead", round)
		}
		if got, want := query(t, s.DSN(), "select count(*) from kept"), int64(round+1); got != want {
			t.Errorf("round %d: rows got %v, want %v", round, got, want)
		}
		stop(t, s)
	}
}

func TestPostgresDiesWithItsParent(t *testing.T) {
	dir := dataDir(t)
	other := openElsewhere(t, "postgres", dir)
	data := filepath.Join(dir, "postgres")
	pid := cluster{data: data}.postmasterPID()
	if !servesData(pid, data) {
		t.Fatalf("process %d of postmaster.pid does not serve %s", pid, data)
	}
	other.kill()
	giveUp := time.After(time.Minute)
	for servesData(pid, data) {
		select {
		case <-giveUp:
			t.Fatal("it outlives its parent")
		case <-time.After(retryEvery):
		}
	}
}

func TestPostgresThatOutlivedItsParentIsStopped(t *testing.T) {
	dir := dataDir(t)
	s := open(t, dir)
	data := filepath.Join(dir, "postgres")
	c := cluster{data: data, socket: socketDir(data), log: zerolog.Nop()}
	pid := c.postmasterPID()
	if err := c.clearLeftovers(t.Context()); err != nil {
		t.Fatal(err)
	}
	if servesData(pid, data) {
		t.Errorf("process %d still runs on the data", pid)
	}
	<-s.Done()
}

func TestPostgresIsShared(t *testing.T) {
	dir := dataDir(t)
	owner := openElsewhere(t, "postgres", dir)
	user := openElsewhere(t, "postgres", dir)
	if !owner.owned || user.owned {
		t.Errorf("owned: got %v and %v, want only the first", owner.owned, user.owned)
	}
	if owner.address != user.address {
		t.Errorf("DSN: got %s and %s, want the same", owner.address, user.address)
	}
	user.finish(t)
	query(t, owner.address, "select 1") // the owner's is still there
	here := open(t, dir)
	if here.Owned() {
		t.Error("owned by this process too")
	}
	stop(t, here)
	owner.finish(t)
	if s := open(t, dir); !s.Owned() {
		t.Error("after the owner has ended: not owned")
	}
}

func TestPostgresOpenedByManyAtOnce(t *testing.T) {
	dir := dataDir(t)
	const openers = 8
	servers := make(chan *PostgresServer, openers)
	for range openers {
		go func() {
			s, err := OpenPostgres(t.Context(), Postgres{Dir: dir, Throwaway: true})
			if err != nil {
				t.Error(err)
			}
			servers <- s
		}()
	}
	var owners []*PostgresServer
	for range openers {
		s := <-servers
		if s == nil {
			continue
		}
		if s.Owned() {
			owners = append(owners, s)
		}
		query(t, s.DSN(), "select 1")
	}
	for _, s := range owners {
		stop(t, s)
	}
	if len(owners) != 1 {
		t.Errorf("owners: got %d, want 1", len(owners))
	}
}

func TestPostgresIsClosedToOthers(t *testing.T) {
	dir := dataDir(t)
	long := filepath.Join(dir, strings.Repeat("long/", 20))
	for _, dir := range []string{filepath.Join(dir, "short"), long, filepath.Join(dir, "a,b")} {
		s := open(t, dir)
		data := filepath.Join(dir, "postgres")
		socket := socketDir(data)
		a, err := accountFor(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{data, socket, filepath.Join(socket, socketName)} {
			uid, mode, ok := ownerOf(path)
			if !ok || uid != a.uid || mode.Perm() != 0o700 {
				t.Errorf("%s: uid %d, mode %04o; want uid %d, mode 0700", path, uid, mode.Perm(), a.uid)
			}
		}
		if len(filepath.Join(socket, socketName)) > longestSocket {
			t.Errorf("socket in %s: path longer than %d", socket, longestSocket)
		}
		if os.Geteuid() == 0 {
			checkStranger(t, socket)
		}
		stop(t, s)
		if _, err := os.Stat(socket); socket != data && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s after close: got %v, want none", socket, err)
		}
	}
}

// checkStranger looks into a directory as an account that has nothing to do with it.
func checkStranger(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("ls", filepath.Join(dir, socketName))
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "ermission denied") {
		t.Errorf("a stranger's look at the socket: got %q, want it denied", out)
	}
}

func TestPostgresIgnoresLeftovers(t *testing.T) {
	dir := dataDir(t)
	stop(t, open(t, dir))

	stranger := exec.Command("sleep", "1000")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	pidFile := fmt.Sprintf("%d\n%s\n1\n5432\n", stranger.Process.Pid, dir)
	for path, content := range map[string]string{
		"postgres/postmaster.pid":         pidFile,
		"postgres/.s.PGSQL.5432.lock":     pidFile,
		"postgres/.s.PGSQL.5432":          "",
		"postgres.dsn":                    dsnFor(filepath.Join(dir, "postgres"), database),
		"postgres.lock":                   "1\n",
		"postgres.new-1234/half-finished": "",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir)
	query(t, s.DSN(), "select 1")
	if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the process whose pid was left behind: %v, want it alive", err)
	}
}

func TestPostgresRemovesUnfinishedData(t *testing.T) {
	dir := dataDir(t)
	unfinished := filepath.Join(dir, "postgres.new-1234", "base")
	if err := os.MkdirAll(unfinished, 0o700); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if _, err := os.Stat(unfinished); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("unfinished data: got %v, want it gone", err)
	}
}

func TestPostgresStartIsCancelled(t *testing.T) {
	dir := dataDir(t)
	// Wherever the start has got to by then: nothing it leaves is a hindrance.
	for _, patience := range []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		s, err := OpenPostgres(ctx, Postgres{Dir: dir, Throwaway: true})
		cancel()
		switch {
		case err == nil:
			stop(t, s)
		case !errors.Is(err, context.DeadlineExceeded):
			t.Errorf("cancelled after %v: got %v, want the deadline", patience, err)
		}
		if patience == 0 && err == nil {
			t.Error("opened although cancelled before")
		}
	}
	open(t, dir)
}

func TestWaitForOwnerNamesIt(t *testing.T) {
	dir := dataDir(t)
	s := share{name: "postgres", lockFile: filepath.Join(dir, "postgres.lock"), addressFile: filepath.Join(dir, "postgres.dsn")}
	lock, err := s.tryLock()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err = OpenPostgres(ctx, Postgres{Dir: dir})
	want := fmt.Sprintf("wait for postgres of process %d", os.Getpid())
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), want) {
		t.Errorf("open while another process starts: got %v, want %q and the deadline", err, want)
	}
}

func TestPostgresMissing(t *testing.T) {
	_, err := OpenPostgres(t.Context(), Postgres{Dir: dataDir(t), Bin: t.TempDir()})
	var missing *MissingError
	if !errors.As(err, &missing) {
		t.Fatalf("open without programs: got %v, want a MissingError", err)
	}
	if !strings.HasSuffix(err.Error(), missing.Install()) || missing.Install() == "" {
		t.Errorf("error: got %q, want it to end with the command %q", err, missing.Install())
	}
}

func TestPostgresBehindClosedDirectory(t *testing.T) {
	dir := dataDir(t)
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	a := account{name: "postgres", uid: 54321, gid: 54321, other: true}
	err := a.reaches(dir)
	if err == nil || !strings.Contains(err.Error(), "chmod o+x "+dir) {
		t.Errorf("got %v, want it to name %s", err, dir)
	}
	if os.Geteuid() == 0 {
		inside := filepath.Join(dir, "share", "poller")
		if _, err := OpenPostgres(t.Context(), Postgres{Dir: inside}); err == nil || !strings.Contains(err.Error(), "POLLER_DATA_DIR=/var/lib/poller") {
			t.Errorf("open in %s: got %v, want another directory proposed", inside, err)
		}
		if _, err := os.Stat(filepath.Dir(inside)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the attempt has left %s: %v", filepath.Dir(inside), err)
		}
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := a.reaches(dir); err != nil {
		t.Errorf("after chmod: got %v, want none", err)
	}
}

func TestSocketDirectoryOfAnother(t *testing.T) {
	dir := dataDir(t)
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := prepareSocketDir(taken, account{uid: uint32(os.Geteuid())}); err == nil {
		t.Error("a file was accepted as the directory of the socket")
	}
	if err := prepareSocketDir(dir, account{name: "postgres", uid: 54321, other: true}); err == nil {
		t.Error("a directory of another account was accepted for the socket")
	}
}
