package main

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// An app that comes with another configuration takes no connection to the database from those that were there: with
// many new apps nobody would have one in time, and healthy terms would end.
func TestAnAppThatComesLaterBringsItsConnections(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2)
	cfg := config{Database: databaseConfig{URL: address(f.dsn)}, NATS: natsConfig{URL: address(f.nats.URL()), Replicas: 1}}
	for _, id := range f.apps {
		cfg.Apps = append(cfg.Apps, appConfig{
			AppID: id, ServerSecret: worldSecret, Schedule: "@every 1s", BaseURL: f.sim.URL(), Rate: 1, BatchSize: 1, Timeout: time.Second,
		})
	}
	first := cfg
	first.Apps = cfg.Apps[:1]
	p, err := open(t.Context(), first, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for range p.db.Config().MaxConns {
		conn, err := p.db.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release()
	}
	m, err := p.prepare(t.Context(), cfg)
	if err != nil || len(m.added) != 1 {
		t.Fatalf("%d apps more, %v", len(m.added), err)
	}
	late := m.added[0]
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := late.ledger.Standing(ctx); err != nil {
		t.Errorf("the app that has come: %v", err)
	}
	p.forget(late)
	if _, err := late.ledger.Standing(ctx); err == nil {
		t.Error("the connections of an app that has gone are open still")
	}
}
