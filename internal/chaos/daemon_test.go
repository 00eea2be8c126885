package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/zim-presence/poller/internal/local/localtest"
)

// daemon is one replica, with its own links to the servers, under a supervisor
// that starts it again when it ends unasked.
type daemon struct {
	w              *world
	n              int
	postgres, nats *localtest.Proxy
	dsn            string
	env            []string
	file           string // its configuration
	settings       settings

	mu      sync.Mutex
	running *process     // nil while it is down
	pids    map[int]bool // of all its runs
	ended   []string     // how it ended unasked
	asked   map[*process]bool
	over    bool // the test is
}

const daemonYAML = `
database: {url: "%s"}
nats: {url: "%s"}
zim: {base_url: "%s", rate: %d}
schedule: "@every %s"
lease: {ttl: %s}
http: {listen: "127.0.0.1:0"}
log: {level: debug}
apps:
`

// settings are what of a daemon's configuration changes while it runs.
type settings struct {
	rate    int
	every   time.Duration
	without int // an app that it is not configured for; 0 for none
}

// configure writes the daemon's configuration.
func (d *daemon) configure(s settings) {
	text := fmt.Sprintf(daemonYAML, d.dsn, "nats://"+d.nats.Addr(), d.w.zim.Links[d.n], s.rate, s.every, ttl)
	for app := range d.w.apps {
		if app+1 != s.without {
			text += fmt.Sprintf("  - {app_id: %d, server_secret: %s}\n", app+1, secret)
		}
	}
	next := d.file + ".new"
	d.w.must(os.WriteFile(next, []byte(text), 0o600))
	d.w.must(os.Rename(next, d.file))
}

// reload has the daemon read its configuration again, if it runs. One that has only just
// been started has not said yet what it does on SIGHUP, and reads it anyway.
func (d *daemon) reload() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running != nil && said(d.log(), d.running.logged, `"message":"starting"`) {
		d.running.signal(syscall.SIGHUP)
	}
}

func (w *world) newDaemon(n int) *daemon {
	d := &daemon{w: w, n: n, pids: map[int]bool{}, asked: map[*process]bool{}}
	d.postgres, d.dsn = w.postgresLink(n)
	d.nats = localtest.NewProxy(w.t, "tcp", strings.TrimPrefix(w.natsURL, "nats://"))
	d.file = filepath.Join(w.dir, fmt.Sprintf("daemon%d.yaml", n))
	d.settings = settings{rate: w.rate, every: time.Second}
	d.configure(d.settings)
	d.env = []string{"POLLER_CONFIG=" + d.file, "HOME=" + w.dir, "PATH=" + os.Getenv("PATH")}
	w.t.Cleanup(func() {
		d.mu.Lock()
		d.over = true
		d.mu.Unlock()
		d.stop(syscall.SIGKILL)
	})
	return d
}

func (d *daemon) log() string { return d.w.log(fmt.Sprint("daemon", d.n)) }

// start starts it, unless it runs or the test is over.
func (d *daemon) start() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running != nil || d.over {
		return
	}
	was := size(d.log())
	p, err := launch(d.log(), d.env, d.w.program, "run")
	if err != nil {
		d.w.t.Error(err)
		return
	}
	p.logged = was
	d.running, d.pids[p.pid] = p, true
	go d.supervise(p)
}

// supervise starts it again when it has ended unasked.
func (d *daemon) supervise(p *process) {
	<-p.done
	d.mu.Lock()
	asked := d.asked[p]
	if !asked {
		d.running = nil
		d.ended = append(d.ended, fmt.Sprintf("daemon %d ended with code %d: %s", d.n, p.code, lastLines(d.log(), 1)))
	}
	d.mu.Unlock()
	if !asked {
		<-time.After(500 * time.Millisecond)
		d.start()
	}
}

// stop ends it by a signal, and waits until it has ended. Asked politely, it must
// end without an error.
func (d *daemon) stop(s syscall.Signal) {
	d.mu.Lock()
	p := d.running
	d.running = nil
	if p != nil {
		d.asked[p] = true
	}
	d.mu.Unlock()
	if p == nil {
		return
	}
	p.signal(s)
	d.w.wait(fmt.Sprintf("daemon %d to end", d.n), p.done)
	// A program that has only just been started has not said yet what it does on
	// SIGTERM.
	if s == syscall.SIGTERM && p.code != 0 && said(d.log(), p.logged, `"message":"starting"`) {
		d.w.t.Errorf("daemon %d ended with code %d after SIGTERM, want 0: %s", d.n, p.code, lastLines(d.log(), 3))
	}
}

func (d *daemon) signal(s syscall.Signal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running != nil {
		d.running.signal(s)
	}
}

// ran tells whether a process was one of its runs.
func (d *daemon) ran(pid int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pids[pid]
}

func (d *daemon) endedUnasked() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ended
}
