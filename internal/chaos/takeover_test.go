package chaos

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"
)

// leases is who holds the apps, as Postgres says it, looked at all the time.
type leases struct {
	mu        sync.Mutex
	holders   [apps]leaseholder
	silent    time.Time // when Postgres last did not answer
	takeovers []takeover
}

// leaseholder is one app's lease.
type leaseholder struct {
	epoch int64
	pid   int // of the holder; 0 while it is free
}

// takeover is how long an app was without a request because its holder was hurt.
type takeover struct {
	kind string
	took time.Duration
	// clean tells that nothing else was broken meanwhile.
	clean bool
}

// watch looks every few milliseconds until ctx ends.
func (w *world) watch(ctx context.Context) {
	for pause(ctx, 25*time.Millisecond) {
		holders, err := w.holders(ctx)
		w.leases.mu.Lock()
		if err == nil {
			w.leases.holders = holders
		} else {
			w.leases.silent = time.Now()
		}
		w.leases.mu.Unlock()
	}
}

func (w *world) holders(ctx context.Context) (holders [apps]leaseholder, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	rows, err := w.pool.Query(ctx, `select app_id, epoch, coalesce(owner, '') from apps`)
	if err != nil {
		return holders, err
	}
	defer rows.Close()
	for rows.Next() {
		var app int
		var h leaseholder
		var owner string
		if err := rows.Scan(&app, &h.epoch, &owner); err != nil {
			return holders, err
		}
		if parts := strings.Split(owner, ":"); len(parts) > 2 {
			h.pid, _ = strconv.Atoi(parts[len(parts)-2])
		}
		holders[app-1] = h
	}
	return holders, rows.Err()
}

func (l *leases) of(app int) leaseholder {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holders[app]
}

// watchTakeovers measures how long each app of the daemon that is hurt now goes
// without a request: until the first one under another epoch.
func (w *world) watchTakeovers(ctx context.Context, n int, f fault) {
	name := f.Kind
	if f.On == daemons-1 && !strings.HasPrefix(name, "daemon: SIGTERM") {
		name += " (pooler)"
	}
	for app := range apps {
		before := w.leases.of(app)
		if before.pid != 0 && w.daemons[f.On].ran(before.pid) {
			w.measuring.Go(func() { w.measure(ctx, n, name, app, before.epoch) })
		}
	}
}

func (w *world) measure(ctx context.Context, n int, name string, app int, epoch int64) {
	hurt := time.Now()
	for time.Since(hurt) < 10*ttl {
		if !pause(ctx, 25*time.Millisecond) {
			return
		}
		now := w.leases.of(app)
		if now.epoch == epoch || now.pid == 0 {
			continue
		}
		if at, ok := w.firstRequest(ctx, app, now.pid); ok {
			w.leases.add(takeover{kind: name, took: at.Sub(hurt), clean: !w.strikes.others(n, hurt)}, hurt)
			return
		}
	}
}

// firstRequest waits for the first request of a new holder, as long as it holds
// the app.
func (w *world) firstRequest(ctx context.Context, app, pid int) (at time.Time, ok bool) {
	won := time.Now()
	for pause(ctx, 25*time.Millisecond) && w.leases.of(app).pid == pid {
		for n, d := range w.daemons {
			if d.ran(pid) {
				arrivals, err := w.zim.arrivals(uint32(app)+1, n, won)
				if err == nil && len(arrivals) > 0 {
					return time.Unix(0, int64(arrivals[0].At)), true
				}
			}
		}
	}
	return at, false
}

// add keeps a takeover, unless Postgres was away meanwhile.
func (l *leases) add(t takeover, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.silent.Before(since) {
		l.takeovers = append(l.takeovers, t)
	}
}
