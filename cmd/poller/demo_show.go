package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/watchlist"
	"github.com/zim-presence/poller/internal/zimsim"
)

// What the demo is made of. The addresses are taken if they are free.
const (
	demoApp      = 1234567890
	demoSecret   = "0123456789abcdef0123456789abcdef"
	demoRate     = 20
	demoSchedule = "@every 5s"
	demoNATS     = "127.0.0.1:4222"
	demoHTTP     = "127.0.0.1:8080"
	startHour    = 14 // of the simulated day: the busy hours come first
)

// show is one demo, from the first file to the last.
//
//	simulated ZIM ─HTTP─→ daemon ─→ Postgres
//	      │                  └────→ NATS ─subscription─→ news ─→ terminal
//	      └──────── its books ───────────────────────────↗
//
// The terminal never holds up the daemon: all that is seen goes through the
// newsroom, which nobody waits for.
type show struct {
	population zimsim.Living
	news       *newsroom
	nats, http string // preferred addresses
}

// run puts everything up, lets the daemon work until ctx ends, which is no
// error, and takes everything down again.
func (s *show) run(ctx context.Context) (err error) {
	log := newWarningLog(s.news)
	st, err := openStage(ctx, s.population, s.nats, log, s.news.step)
	if err != nil {
		return asked(ctx, err)
	}
	defer closing(&err, st.close)
	cfg, err := s.prepare(ctx, st, log)
	if err != nil {
		return asked(ctx, err)
	}
	ctx, fail := context.WithCancelCause(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer fail(nil)
	beside.Go(func() {
		select {
		case <-st.postgres.Done():
			fail(errors.New("the demo's postgres has ended"))
		case <-ctx.Done():
		}
	})
	beside.Go(func() {
		if err := subscribe(ctx, st.nats.URL(), demoApp, s.news.heard); err != nil {
			fail(err)
		}
	})
	return asked(ctx, daemon(ctx, cfg, log, false, func(p *parts) {
		one := p.apps.all()[0]
		s.news.opened(st.bill(cfg, one.tuned.Load().recording.Schedule, s.population))
		one.show = s.news.swept
		beside.Go(func() { s.measure(ctx, st, one) })
	}, reloading{}))
}

// prepare configures the daemon for the stage, and fills the watchlist.
func (s *show) prepare(ctx context.Context, st *stage, log zerolog.Logger) (config, error) {
	listen, err := freeAddress(ctx, s.http)
	if err != nil {
		return config{}, err
	}
	cfg := st.config(listen)
	s.news.step("the schema and the watchlist")
	db, err := openDatabase(ctx, cfg, log)
	if err != nil {
		return config{}, err
	}
	defer func() { _ = db.Close() }() // a pool: nothing is lost
	if err := db.reach(ctx); err != nil {
		return config{}, err
	}
	var ids strings.Builder
	for n := range s.population.Users {
		fmt.Fprintln(&ids, zimsim.UserName(n+1))
	}
	list := watchlist.New(db.Pool)
	_, err = list.Import(ctx, demoApp, watchlist.Read(strings.NewReader(ids.String()), watchlist.Lines, ""), false, nil)
	return cfg, err
}

// measure reads the budget from the books of the simulated ZIM, and how far the
// subscriber is behind the ledger, until ctx ends.
func (s *show) measure(ctx context.Context, st *stage, a *app) {
	const lagEvery = 5
	meter := meter{app: st.sim.App(demoApp), begun: st.begun}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case now := <-ticker.C:
			s.news.spent(meter.read(now))
		case <-ctx.Done():
			return
		}
		if n%lagEvery != 0 {
			continue
		}
		if newest, err := a.ledger.Newest(ctx); err == nil {
			s.news.recorded(newest)
		}
	}
}

// freeAddress returns the preferred host:port if nobody listens there, or else
// one on the same host whose port was free just now.
func freeAddress(ctx context.Context, preferred string) (string, error) {
	host, _, err := net.SplitHostPort(preferred)
	if err != nil {
		return "", err
	}
	var listen net.ListenConfig
	for _, address := range []string{preferred, net.JoinHostPort(host, "0")} {
		l, errListen := listen.Listen(ctx, "tcp", address)
		if errListen != nil {
			err = errListen
			continue
		}
		return l.Addr().String(), l.Close()
	}
	return "", fmt.Errorf("an address for http: %w", err)
}

// newWarningLog returns a log of which the newsroom gets the warnings.
func newWarningLog(n *newsroom) zerolog.Logger {
	lines := zerolog.ConsoleWriter{
		Out: warningWriter{n}, NoColor: true, PartsOrder: []string{zerolog.MessageFieldName},
	}
	return zerolog.New(lines).Level(zerolog.WarnLevel)
}

// warningWriter takes a line a write.
type warningWriter struct{ news *newsroom }

func (w warningWriter) Write(line []byte) (int, error) {
	w.news.warned(strings.TrimSpace(string(line)))
	return len(line), nil
}
