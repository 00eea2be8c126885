package main

import (
	"context"
	"errors"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/stream"
)

// replayCmd is poller replay.
type replayCmd struct {
	Tell replayTellCmd `cmd:"" default:"withargs" help:"Tell a range of the past again, or go on with it. The word may be left out."`
	List replayListCmd `cmd:"" help:"Show the replays, and how far they are."`
	Drop replayDropCmd `cmd:"" help:"Give a replay up, or clear away one that has ended: its stream goes, and its name is free."`
}

// Help is shown below the flags' by --help.
func (replayCmd) Help() string {
	return `poller replay --name NAME --from WHEN --to WHEN is short for poller replay tell with the same flags;
poller replay tell --help shows all of them.`
}

// replayFlags are the flags that every replay command has.
type replayFlags struct {
	App uint32 `placeholder:"ID" help:"App whose past it is; needed when several are configured."`
}

// replayParts are what a replay needs of the outside.
type replayParts struct {
	cfg    config
	app    uint32
	ledger *ledger.Ledger
	bus    *bus // nil where none was asked for
	stream *stream.Stream
	log    zerolog.Logger
}

// with opens what is needed, does the work, and closes. It writes no schema.
func (f replayFlags) with(ctx context.Context, g *globals, log func(config) zerolog.Logger, nats bool, work func(replayParts) error) (err error) {
	need := needDatabase
	if nats {
		need |= needNATS
	}
	cfg, err := g.load(need)
	if err != nil {
		return err
	}
	p := replayParts{cfg: cfg, log: log(cfg)}
	if p.app, err = cfg.someApp(f.App); err != nil {
		return err
	}
	db, err := openCurrent(ctx, cfg, p.log)
	if err != nil {
		return err
	}
	defer closing(&err, db.Close)
	defer g.attend(&err, db.vacant)()
	p.ledger = ledger.New(db.Pool, p.app, p.log)
	if nats {
		if p.bus, err = openNATS(ctx, cfg, p.log); err != nil {
			return err
		}
		defer closing(&err, p.bus.Close)
		defer g.attend(&err, p.bus.vacant)()
		if p.stream, err = stream.New(p.bus.Conn, stream.Config{AppID: p.app, MaxAge: cfg.Stream.MaxAge, Replicas: cfg.NATS.Replicas}, p.log); err != nil {
			return err
		}
	}
	return work(p)
}

// replayWeather tells what a replay waits for.
func replayWeather(err error) bool {
	return !errors.Is(err, ledger.ErrReplayTaken) && (errors.Is(err, stream.ErrSurprise) || passing(err))
}
