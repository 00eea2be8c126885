package main

import (
	"context"
	"errors"
	"fmt"
)

// announcePostgres says where the embedded Postgres can be reached.
func (p *parts) announcePostgres() {
	if p.db.embedded != nil {
		p.log.Info().Str("dsn", p.db.dsn).Str("data_dir", p.cfg.DataDir).Bool("ours", p.db.embedded.Owned()).Msg("embedded postgres")
	}
}

// announceNATS says where the embedded NATS can be reached.
func (p *parts) announceNATS() {
	if p.bus.embedded != nil {
		p.log.Info().Str("url", p.bus.url).Str("data_dir", p.cfg.DataDir).Bool("ours", p.bus.embedded.Owned()).Msg("embedded nats")
	}
}

// inheritPostgres has the daemon run the embedded Postgres that another process ran, once that has ended: a command that was
// there first, or another daemon on the same data directory. Where it cannot, the program ends, as it does when its own
// embedded Postgres ends: a new start is the supervisor's business.
func (p *parts) inheritPostgres(ctx context.Context, fail context.CancelCauseFunc) {
	server := p.db.embedded
	if server == nil {
		return
	}
	if !server.Owned() {
		if err := server.TakeOver(ctx); err != nil {
			fail(fmt.Errorf("the embedded postgres under data_dir (POLLER_DATA_DIR) %s, which another process ran, cannot be taken over: %w", p.cfg.DataDir, err))
			return
		}
		p.announcePostgres()
	}
	select {
	case <-server.Done():
		fail(errors.New("the embedded postgres has ended"))
	case <-ctx.Done():
	}
}

// inheritNATS is inheritPostgres for NATS, which ends with its process.
func (p *parts) inheritNATS(ctx context.Context, fail context.CancelCauseFunc) {
	server := p.bus.embedded
	if server == nil || server.Owned() {
		return
	}
	if err := server.TakeOver(ctx); err != nil {
		fail(fmt.Errorf("the embedded nats under data_dir (POLLER_DATA_DIR) %s, which another process ran, cannot be taken over: %w", p.cfg.DataDir, err))
		return
	}
	p.announceNATS()
}
