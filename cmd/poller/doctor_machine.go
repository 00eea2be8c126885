package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tryMachine looks at what the system gives the program.
func (d *doctor) tryMachine(_ context.Context, c *chart) {
	d.tryZone(c)
	d.tryFiles(c)
	d.tryMemory(c)
	d.tryDataDir(c)
}

// tryZone says which zone this machine has, and that zones can be had at all.
func (d *doctor) tryZone(c *chart) {
	const probe = "Europe/Berlin"
	if _, err := time.LoadLocation(probe); err != nil {
		c.fault("time zones", "report it: they are built in", "%v", err)
		return
	}
	zone, ahead := time.Now().Zone()
	c.ok("time zones", "this machine is in %s (UTC%+d:%02d); schedules and times of events are UTC", zone, ahead/3600, abs(ahead)/60%60)
}

func abs(n int) int { return max(n, -n) }

// What the daemon opens beside what it needs for each app.
const (
	mostRequests   = 256 // to ZIM that an app has in flight at the most
	connsOfAnApp   = 4   // to Postgres
	filesBesides   = 64  // log, listeners, the register, NATS, what the runtime needs
	filesOfBrowser = 128 // status page and probes
	filesEmbedded  = 512 // a NATS in this process, with its streams and subscribers
)

// tryFiles compares the limit of open files with what the daemon may need. The runtime has raised the soft limit to the
// hard one already, as it does for the daemon.
func (d *doctor) tryFiles(c *chart) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		c.untried("open files", "%v", err)
		return
	}
	need := filesBesides + filesOfBrowser
	for _, a := range d.cfg.Apps {
		need += connsOfAnApp + min(mostRequests, max(4, int(a.Rate*a.Timeout.Seconds())+1))
	}
	if d.cfg.NATS.URL == "" {
		need += filesEmbedded
	}
	if limit.Cur < uint64(need) {
		c.fault("open files", fmt.Sprintf("ulimit -n %d, or LimitNOFILE=%d in the systemd unit", need, need), "the limit is %d, and the daemon may need %d", limit.Cur, need)
		return
	}
	c.ok("open files", "the limit is %d, and the daemon may need %d", limit.Cur, need)
}

// What the daemon needs of memory: see Memory in docs/tuning.md.
const (
	bytesOfAUser   = 200 // with what is garbage for a while: a start with 300,000 users was measured
	bytesOfAnApp   = 10 << 20
	bytesOfProgram = 128 << 20
)

// tryMemory compares the limit of the control group with what the watchlists need.
func (d *doctor) tryMemory(c *chart) {
	limit, known := memoryLimit("/proc/self/cgroup", "/sys/fs/cgroup")
	if !known {
		c.untried("memory", "no limit of a control group is seen here")
		return
	}
	users := 0
	for _, some := range d.users {
		users += some.users
	}
	need := int64(bytesOfProgram) + int64(len(d.cfg.Apps))*bytesOfAnApp + int64(users)*bytesOfAUser
	if limit < need {
		c.warn("memory", fmt.Sprintf("raise it to %s or more", formatBytes(need)), "the control group's limit is %s, and %s may need %s", formatBytes(limit), usersText(users), formatBytes(need))
		return
	}
	c.ok("memory", "the control group's limit is %s, and %s may need %s", formatBytes(limit), usersText(users), formatBytes(need))
}

// memoryLimit is the least limit of the control group of this process and of those above it (cgroup v2).
func memoryLimit(self, root string) (limit int64, known bool) {
	text, err := os.ReadFile(self)
	if err != nil {
		return 0, false
	}
	_, group, found := strings.Cut(string(text), "0::")
	if !found {
		return 0, false
	}
	group, _, _ = strings.Cut(group, "\n")
	for at := filepath.Join("/", group); ; at = filepath.Dir(at) {
		text, err := os.ReadFile(filepath.Join(root, at, "memory.max"))
		if n, bad := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && bad == nil && (!known || n < limit) {
			limit, known = n, true
		}
		if at == "/" {
			return limit, known
		}
	}
}

// leastSpace is how much room there should be for the embedded Postgres and NATS.
const leastSpace = 1 << 30

// tryDataDir looks at the place of the embedded parts, by making a file there and taking it away again.
func (d *doctor) tryDataDir(c *chart) {
	if d.cfg.Database.URL != "" && d.cfg.NATS.URL != "" {
		c.ok("data_dir", "not needed: Postgres and NATS are elsewhere")
		return
	}
	dir := d.cfg.DataDir
	for !exists(dir) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
	}
	probe, err := os.CreateTemp(dir, ".poller-doctor-")
	if err == nil {
		_ = probe.Close() // nothing was written
		err = os.Remove(probe.Name())
	}
	if err != nil {
		c.fault("data_dir", "set data_dir (POLLER_DATA_DIR) to a place where this user may write, or give it the right", "%s", inShort(err))
		return
	}
	free, kind, err := space(dir)
	if err != nil {
		c.untried("data_dir", "%s: %v", dir, err)
		return
	}
	text := fmt.Sprintf("%s: %s free, %s", d.cfg.DataDir, formatBytes(free), kind)
	switch {
	case kind == "tmpfs":
		c.warn("data_dir", "set data_dir to a place on a disk", "%s: it is gone with the machine", text)
	case kind == "nfs" || kind == "smb":
		c.warn("data_dir", "set data_dir to a place on a local disk", "%s: locks and syncs are not to be trusted there", text)
	case free < leastSpace:
		c.warn("data_dir", "make room", "%s", text)
	default:
		c.ok("data_dir", "%s", text)
	}
}
