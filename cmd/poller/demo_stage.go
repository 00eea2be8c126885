package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/local"
	"github.com/zim-presence/poller/internal/poll"
	"github.com/zim-presence/poller/internal/zimsim"
)

// stage is what the demo's daemon stands on: a directory that nobody else uses,
// and in it Postgres and NATS; and the simulated ZIM.
type stage struct {
	dir      string
	begun    time.Time // before the simulator's own beginning
	sim      *zimsim.Server
	postgres *local.PostgresServer
	nats     *local.NATSServer
}

// openStage puts everything up; step hears what is next. NATS listens on natsAt
// if nobody else does.
func openStage(ctx context.Context, living zimsim.Living, natsAt string, log zerolog.Logger, step func(string)) (_ *stage, err error) {
	dir, err := os.MkdirTemp("", "poller-demo-")
	if err != nil {
		return nil, fmt.Errorf("directory of the demo: %w", err)
	}
	s := &stage{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	// Postgres, which does not run as root, has to get through to its own.
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, fmt.Errorf("directory of the demo: %w", err)
	}
	step("the simulated ZIM")
	s.begun = time.Now()
	sim := zimsim.New(zimsim.Config{
		Apps: []zimsim.AppConfig{{ID: demoApp, Secret: demoSecret, Rate: demoRate, Living: &living}},
		Seed: uint64(s.begun.UnixNano()),
	})
	if err := sim.Start(ctx, "127.0.0.1:0", ""); err != nil {
		return nil, fmt.Errorf("simulated zim: %w", err)
	}
	s.sim = sim
	step("a private Postgres")
	if s.postgres, err = local.OpenPostgres(ctx, local.Postgres{Dir: dir, Throwaway: true, Log: log}); err != nil {
		return nil, err
	}
	step("an embedded NATS")
	s.nats, err = openDemoNATS(ctx, local.NATS{Dir: dir, Listen: natsAt, Throwaway: true, Log: log})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// openDemoNATS takes another port if the one asked for is taken.
func openDemoNATS(ctx context.Context, n local.NATS) (*local.NATSServer, error) {
	server, err := local.OpenNATS(ctx, n)
	var taken *local.TakenError
	if errors.As(err, &taken) {
		n.Listen = "127.0.0.1:0"
		return local.OpenNATS(ctx, n)
	}
	return server, err
}

// close takes down what is up, and removes the directory. It waits until it has.
func (s *stage) close() error {
	var errs []error
	if s.nats != nil {
		errs = append(errs, s.nats.Close())
	}
	if s.postgres != nil {
		errs = append(errs, s.postgres.Close())
	}
	if s.sim != nil {
		s.sim.Close()
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// config is the daemon's: what somebody has who sets nothing, but for the stage.
func (s *stage) config(httpListen string) config {
	cfg := defaultConfig(func(string) string { return "" })
	cfg.DataDir = s.dir
	cfg.Database.URL = address(s.postgres.DSN())
	cfg.NATS.URL = address(s.nats.URL())
	cfg.HTTP.Listen = httpListen
	cfg.Schedule = demoSchedule
	cfg.Apps = []appConfig{{
		AppID: demoApp, ServerSecret: demoSecret, BaseURL: s.sim.URL(), Schedule: cfg.Schedule,
		Rate: demoRate, BatchSize: cfg.ZIM.BatchSize, Timeout: cfg.ZIM.Timeout,
	}}
	return cfg
}

// bill is what is shown, and how others can look on.
type bill struct {
	App      uint32
	Users    int
	Speed    float64
	Schedule string
	Rate     int
	Due      poll.Schedule
	ZIM      string
	// Subscribe and Query are commands for another terminal, in words between
	// which a line may be broken.
	Subscribe, Query []string
	DSN              string
	Page, Metrics    string                        // addresses
	Clock            func(time.Time) time.Duration // time of the simulated day
}

func (s *stage) bill(cfg config, schedule poll.Schedule, living zimsim.Living) bill {
	return bill{
		App: demoApp, Users: living.Users, Speed: living.Speed, Schedule: demoSchedule, Rate: demoRate, Due: schedule,
		ZIM:       s.sim.URL(),
		Subscribe: []string{"nats sub -s " + s.nats.URL(), "'presence.v1.*.online.>'"},
		Query:     []string{"psql " + connectionWord(s.postgres.DSN()), "-c 'select status, count(*) from presence group by 1'"},
		DSN:       s.postgres.DSN(),
		Page:      "http://" + cfg.HTTP.Listen + "/",
		Metrics:   "http://" + cfg.HTTP.Listen + "/metrics",
		Clock: func(now time.Time) time.Duration {
			day := time.Duration(living.Hour*float64(time.Hour)) + time.Duration(float64(now.Sub(s.begun))*living.Speed)
			return day % (24 * time.Hour)
		},
	}
}

// connectionWord names a database to psql: in the words of libpq, which are
// short enough for a narrow terminal, or by the URL where a shell or libpq would
// need quotes in them.
func connectionWord(dsn string) string {
	plain := func(r rune) bool {
		return r < 0x80 && (r == '/' || r == '.' || r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r))
	}
	u, err := url.Parse(dsn)
	if err == nil && u.Query().Get("port") == "5432" {
		host, name := u.Query().Get("host"), strings.TrimPrefix(u.Path, "/")
		if host != "" && strings.IndexFunc(host+name+u.User.Username(), func(r rune) bool { return !plain(r) }) < 0 {
			return fmt.Sprintf(`"host=%s user=%s dbname=%s"`, host, u.User.Username(), name)
		}
	}
	return "'" + dsn + "'"
}
