package chaos

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/presence"
)

// strikes is what the plan has done.
type strikes struct {
	mu     sync.Mutex
	counts map[string]int
	past   []struck
	locks  map[string]*sync.Mutex
}

// struck is a fault that was made, and when; to is zero while it lasts.
type struck struct {
	fault
	from, to time.Time
}

func (s *strikes) begin(f fault) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[f.Kind]++
	s.past = append(s.past, struck{fault: f, from: time.Now()})
	return len(s.past) - 1
}

func (s *strikes) end(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past[n].to = time.Now()
}

// others tells whether another fault that could hold up a takeover lasted at any
// time since then.
func (s *strikes) others(self int, since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.past {
		if i != self && !kindOf(other.Kind).quiet && (other.to.IsZero() || other.to.After(since)) {
			return true
		}
	}
	return false
}

func (s *strikes) lock(name string) *sync.Mutex {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locks[name] == nil {
		s.locks[name] = &sync.Mutex{}
	}
	return s.locks[name]
}

// strike makes the faults of the plan, each in its time, and returns when the
// last has been undone.
func (w *world) strike(plan []fault, length time.Duration) {
	ctx, cancel := context.WithTimeout(w.t.Context(), length)
	defer cancel()
	begun := time.Now()
	var under sync.WaitGroup
	defer under.Wait()
	for _, f := range plan {
		if !pause(ctx, time.Until(begun.Add(f.At))) {
			return
		}
		under.Go(func() { w.make(ctx, f) })
	}
	<-ctx.Done()
}

// make makes one fault, as soon as what it needs is free, and undoes it. When ctx
// ends it undoes it at once.
func (w *world) make(ctx context.Context, f fault) {
	k := kindOf(f.Kind)
	for _, name := range k.holds(f) {
		lock := w.strikes.lock(name)
		lock.Lock()
		defer lock.Unlock()
	}
	if ctx.Err() != nil {
		return
	}
	n := w.strikes.begin(f)
	defer w.strikes.end(n)
	if k.takes && f.Kind != lastWords { // which begins later
		w.watchTakeovers(ctx, n, f)
	}
	what, where, _ := strings.Cut(f.Kind, ": ")
	switch what {
	case "daemon":
		w.hurtDaemon(ctx, n, f, where)
	case "link to Postgres":
		hurtLink(ctx, w.daemons[f.On].postgres, f, where)
	case "link to NATS":
		hurtLink(ctx, w.daemons[f.On].nats, f, where)
	case "link to ZIM":
		w.hurtZIMLink(ctx, f, where)
	case "Postgres":
		w.hurtPostgres(ctx, f, where)
	case "NATS":
		w.hurtNATS(ctx, f, where)
	case "ZIM":
		w.must(w.zim.addFaults(f.How, uint32(f.On)+1))
		pause(ctx, f.For)
		w.must(w.zim.clearFaults(zimKind(f.How)))
	}
}

func (w *world) hurtDaemon(ctx context.Context, n int, f fault, how string) {
	d := w.daemons[f.On]
	switch how {
	case "kill -9":
		d.stop(syscall.SIGKILL)
		pause(ctx, f.For)
		d.start()
	case "kill -9, and its last words come late":
		w.lastWords(ctx, n, f, d)
	case "SIGTERM":
		d.stop(syscall.SIGTERM)
		pause(ctx, f.For)
		d.start()
	case "SIGSTOP":
		d.signal(syscall.SIGSTOP)
		pause(ctx, f.For)
		d.signal(syscall.SIGCONT)
	case "SIGHUP":
		d.configure(f.changes(d.settings))
		d.reload()
		pause(ctx, f.For)
		d.configure(d.settings)
		d.reload()
	}
}

// changes are the settings that another configuration says.
func (f fault) changes(s settings) settings {
	switch f.How {
	case "half the rate":
		s.rate = max(1, s.rate/2)
	case "another schedule":
		s.every *= 3
	default:
		_, _ = fmt.Sscanf(f.How, "without app %d", &s.without) // drawn as it is read
	}
	return s
}

// lastWords kills a daemon when it has just sent a commit, or events, and delivers
// those when others have long gone on.
func (w *world) lastWords(ctx context.Context, n int, f fault, d *daemon) {
	link, words := d.postgres, []byte("with fence as")
	if f.How == "events" {
		link, words = d.nats, []byte("HPUB "+presence.SubjectRoot)
	}
	held, release := make(chan struct{}, 1), make(chan struct{})
	link.SetHook(func(_ int, to localtest.Direction, data []byte) localtest.Verdict {
		if to == localtest.ToServer && bytes.Contains(data, words) {
			select {
			case held <- struct{}{}:
			default:
			}
			<-release
		}
		return localtest.Pass
	})
	select {
	case <-held:
	case <-time.After(ttl): // it holds no app
	case <-ctx.Done():
	}
	w.watchTakeovers(ctx, n, f)
	d.stop(syscall.SIGKILL)
	pause(ctx, f.For)
	link.SetHook(nil)
	close(release)
	d.start()
}

func hurtLink(ctx context.Context, p *localtest.Proxy, f fault, how string) {
	switch how {
	case "cut":
		p.Cut()
	case "refused":
		p.Refuse()
		p.Cut()
		pause(ctx, f.For)
		p.Accept()
	case "stalled":
		switch f.How {
		case "both ways":
			p.Stall()
		case "what is sent":
			p.Stall(localtest.ToServer)
		case "what is answered":
			p.Stall(localtest.ToClient)
		}
		pause(ctx, f.For)
		p.Resume()
	}
}

func (w *world) hurtZIMLink(ctx context.Context, f fault, how string) {
	begin, end := how, ""
	switch how {
	case "refused":
		begin, end = "refuse", "accept"
	case "stalled":
		begin, end = "stall", "resume"
		if f.How == "what is answered" {
			begin = "stall answers"
		}
	}
	w.must(w.zim.link(f.On, begin))
	if end != "" {
		pause(ctx, f.For)
		w.must(w.zim.link(f.On, end))
	}
}

func (w *world) hurtPostgres(ctx context.Context, f fault, how string) {
	switch how {
	case "kill -9":
		w.server.Kill()
		pause(ctx, f.For)
		w.server.Start()
	case "restart":
		w.server.Stop()
		pause(ctx, f.For)
		w.server.Start()
	case "read-only":
		w.sql(`alter system set default_transaction_read_only = on`, `select pg_reload_conf()`)
		pause(ctx, f.For)
		w.sql(`alter system reset default_transaction_read_only`, `select pg_reload_conf()`)
	case "sessions terminated":
		half := ""
		if f.How == "half" {
			half = " and pid % 2 = 0"
		}
		w.sql(`select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'daemon%'` + half)
	case "an app's row locked":
		// Postgres may end meanwhile, and the lock with it.
		tx, err := w.pool.Begin(ctx)
		if err != nil {
			return
		}
		_, _ = tx.Exec(ctx, `select from apps where app_id = $1 for update`, f.On+1)
		pause(ctx, f.For)
		_ = tx.Rollback(context.WithoutCancel(ctx))
	}
}

func (w *world) hurtNATS(ctx context.Context, f fault, how string) {
	switch how {
	case "kill -9":
		w.nats.end()
		pause(ctx, f.For)
		w.startNATS()
	case "restart":
		w.nats.signal(syscall.SIGTERM)
		w.wait("NATS to stop", w.nats.done)
		pause(ctx, f.For)
		w.startNATS()
	case "SIGSTOP":
		w.nats.signal(syscall.SIGSTOP)
		pause(ctx, f.For)
		w.nats.signal(syscall.SIGCONT)
	}
}

// pause waits; it is false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// must fails the run for what is the suite's own fault.
func (w *world) must(err error) {
	if err != nil {
		w.t.Error(fmt.Errorf("the suite itself: %w", err))
	}
}
