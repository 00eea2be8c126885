package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/zimsim"
)

// with is the same world for a program with other settings. A setting that is
// given again replaces the first one.
func (w *world) with(env ...string) *world {
	other := *w
	var names []string
	for _, setting := range env {
		name, _, _ := strings.Cut(setting, "=")
		names = append(names, name+"=")
	}
	other.env = append(without(slices.Clone(w.env), names...), env...)
	return &other
}

// named is a DSN whose sessions can be told from others.
func named(dsn, name string) string { return dsn + "&application_name=" + name }

// pair is a holder of the lease whose way to Postgres leads through a proxy, a
// standby that goes its own way, and users who come and go. Both poll without a
// pause, so that the last request of the one and the first of the other tell how
// near they come to polling at once; at half the limit, which is held elsewhere.
type pair struct {
	*world
	proxy           *localtest.Proxy
	holder, standby *process
	turns           *turns
	settle          func() // ends the coming and going
	taken, over     int    // terms of the holder that began, and ended, before the fault: a busy machine may cost it one
}

func newPair(t *testing.T, ttl time.Duration, population map[string]zimsim.State) *pair {
	t.Helper()
	w := newWorld(t, "POLLER_LEASE_TTL="+ttl.String(), "POLLER_ZIM_BATCH_SIZE=5", "POLLER_ZIM_RATE=10")
	w.set(population)
	w.watch(keys(population)...)
	p := &pair{world: w, turns: &turns{}}
	var through string
	p.proxy, through = localtest.PostgresProxy(t, w.dsn)
	p.holder = w.with("POLLER_DATABASE_URL="+named(through, "holder"), p.turns.of("the first", w)).start("run")
	w.sweeps(1)
	p.settle = sync.OnceFunc(w.keepFlipping(population, 7))
	p.standby = w.with("POLLER_DATABASE_URL="+named(w.dsn, "standby"), p.turns.of("the other", w)).start("run")
	w.until("a standby", func() bool {
		return w.count(`select count(*) from pg_stat_activity where datname = current_database() and application_name = 'standby'`) > 0
	})
	w.sweeps(1)
	return p
}

// goesOn waits until the standby may send, and returns how long after since that
// was.
func (p *pair) goesOn(since time.Time) time.Duration {
	p.t.Helper()
	p.until("the standby has the lease", func() bool { return p.standby.logged("lease taken") > 0 })
	taken := time.Since(since)
	wait, err := strconv.ParseFloat(p.standby.field("lease taken", "wait"), 64)
	if err != nil {
		p.t.Fatal(err)
	}
	p.until("the standby polls", func() bool { return p.standby.logged("sweep ended") > 0 })
	return taken + time.Duration(wait*float64(time.Millisecond))
}

// rest brings everything to rest and proves that nothing was lost or doubled.
func (p *pair) rest(running ...*process) {
	p.t.Helper()
	p.settle()
	p.sweeps(2)
	for _, r := range running {
		r.stop()
	}
	p.audit()
	p.auditIntervals(p.events(0))
	p.turns.audit(p.t)
}

// A standby goes on by itself, whatever becomes of the holder; never do the two
// poll at once, and nothing is lost or doubled. The bounds leave room for a machine
// that is busy; the times beside the targets are in the log.
func TestStandbyGoesOn(t *testing.T) {
	t.Parallel()
	const long, short = 40 * time.Second, 4 * time.Second
	for _, c := range []struct {
		name          string
		ttl           time.Duration
		quiet         bool // nothing changes any longer
		fault         func(p *pair)
		target, bound time.Duration
		after         func(p *pair) (running []*process)
	}{
		{"kill -9", long, false, func(p *pair) { p.holder.kill() }, 3 * time.Second, 20 * time.Second, onlyTheStandby},
		{"SIGTERM", long, false, func(p *pair) { p.holder.signal(syscall.SIGTERM) }, 1500 * time.Millisecond, 20 * time.Second, onlyTheStandby},
		{
			"SIGSTOP", short, false, func(p *pair) { p.holder.signal(syscall.SIGSTOP) }, short + 2*time.Second, 40 * time.Second,
			func(p *pair) []*process {
				p.sweeps(1)
				p.holder.signal(syscall.SIGCONT)
				return p.bothAgain()
			},
		},
		{
			// No write tells the holder, which goes on sending for as long as it may, while
			// its session is seen to be gone.
			"network cut", long, true, func(p *pair) { p.proxy.Refuse(); p.proxy.Cut() }, 3 * time.Second, 20 * time.Second,
			func(p *pair) []*process {
				p.sweeps(1)
				p.proxy.Accept()
				return p.bothAgain()
			},
		},
		{
			"network a black hole", short, true, func(p *pair) { p.proxy.Stall() }, short + 2*time.Second, 40 * time.Second,
			func(p *pair) []*process {
				p.sweeps(1)
				p.proxy.Resume()
				return p.bothAgain()
			},
		},
		{
			"answers lost alone", short, false, func(p *pair) { p.proxy.Stall(localtest.ToClient) }, short + 2*time.Second, 40 * time.Second,
			func(p *pair) []*process {
				p.sweeps(1)
				p.proxy.Resume()
				return p.bothAgain()
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, c.ttl, population(150))
			if c.quiet {
				p.settle()
				p.sweeps(1)
				before := p.zim.Stats().Arrivals
				p.until("the next sweep is under way", func() bool { return p.zim.Stats().Arrivals > before+5 })
			}
			p.countTerms()
			since := time.Now()
			c.fault(p)
			took := p.goesOn(since)
			t.Logf("%s: the standby goes on after %s; target %s", c.name, took.Round(time.Millisecond), c.target)
			if took > c.bound {
				t.Errorf("the standby went on after %s only", took)
			}
			p.rest(c.after(p)...)
		})
	}
}

// countTerms is called right before the fault.
func (p *pair) countTerms() {
	p.taken, p.over = p.holder.logged("lease taken"), p.holder.logged(termEnded)
}

const termEnded = "the term has ended; going for the lease again"

func onlyTheStandby(p *pair) []*process {
	p.t.Helper()
	if code := p.holder.ended(); code > 0 { // -1 of one that was killed
		p.t.Errorf("the holder's exit code is %d", code)
	}
	return []*process{p.standby}
}

// bothAgain waits until the past holder has found out. It lives and is a standby
// now.
func (p *pair) bothAgain() []*process {
	p.t.Helper()
	p.until("the past holder knows that it is none", func() bool {
		return p.holder.logged(termEnded) > p.over
	})
	swept := p.holder.logged("sweep ended")
	p.sweeps(1)
	if again := p.holder.logged("sweep ended"); again != swept {
		p.t.Errorf("the past holder has swept %d times since", again-swept)
	}
	if taken := p.holder.logged("lease taken"); taken != p.taken {
		p.t.Errorf("the past holder took the lease %d times more", taken-p.taken)
	}
	return []*process{p.holder, p.standby}
}

func (p *process) signal(s syscall.Signal) {
	p.w.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.w.t.Fatal(err)
	}
}

// The holder lives and all its sessions are ended, again and again: it keeps the
// lease by naming a new session, or the other takes over. Never do both poll.
func TestSessionsTerminated(t *testing.T) {
	t.Parallel()
	p := newPair(t, 4*time.Second, population(80))
	for range 5 {
		ended := p.count(`
			select count(pg_terminate_backend(pid))
			  from pg_stat_activity s
			 where datname = current_database()
			   and application_name = (select case when a.owner like '%:' || $2 || ':%' then 'holder' else 'standby' end
			                             from apps a
			                            where a.app_id = $1)`, worldApp, strconv.Itoa(p.holder.cmd.Process.Pid))
		if ended == 0 {
			t.Error("the holder had no sessions")
		}
		p.sweeps(2)
	}
	t.Logf("the lease was taken %d times by the first, %d times by the other", p.holder.logged("lease taken"), p.standby.logged("lease taken"))
	p.rest(p.holder, p.standby)
}

// blocked are the program's statements that wait for a lock, each by its session
// and its begin.
func (w *world) blocked() (statements []string) {
	w.t.Helper()
	err := w.pool.QueryRow(context.Background(), `
		select coalesce(array_agg(pid || ' ' || query_start), '{}')
		  from pg_stat_activity
		 where datname = current_database() and application_name = 'poller' and wait_event_type = 'Lock'`).Scan(&statements)
	if err != nil {
		w.t.Fatal(err)
	}
	return statements
}

// The sessions of two who wait for the lease's row, or write under it, do not pile
// up while somebody holds the row for long: who gives up a statement has it
// cancelled at the server. Through a pooler, too.
func TestLockedRowPilesUpNoSessions(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"direct", "pooler"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "POLLER_LEASE_TTL=2s", "POLLER_HTTP_LISTEN=127.0.0.1:0")
			users := population(100)
			w.set(users)
			w.watch(keys(users)...)
			dsn := w.dsn
			if way == "pooler" {
				dsn = localtest.NewPooler(t, w.dsn).DSN()
			}
			daemons := []*process{w.with("POLLER_DATABASE_URL=" + dsn).start("run"), w.with("POLLER_DATABASE_URL=" + dsn).start("run")}
			w.newEvents(0, len(users))
			settle := w.keepFlipping(users, 3)
			w.sweeps(2)

			gate, err := w.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer gate.Rollback(context.Background())
			if _, err := gate.Exec(t.Context(), `select from apps where app_id = $1 for update`, worldApp); err != nil {
				t.Fatal(err)
			}
			for round := range 3 {
				w.until("sessions that wait for the row", func() bool { return len(w.blocked()) > 0 })
				waiting := w.blocked()
				t.Logf("round %d: %d sessions wait for the row", round, len(waiting))
				w.until("that none of these waits still", func() bool {
					return !slices.ContainsFunc(w.blocked(), func(s string) bool { return slices.Contains(waiting, s) })
				})
			}
			if err := gate.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			settle()
			w.sweeps(2)
			for _, d := range daemons {
				d.stop()
			}
			w.audit()
			w.auditIntervals(w.events(0))
		})
	}
}
