package main

import (
	"context"
	"fmt"
	"time"
)

// migrateCmd is poller migrate.
type migrateCmd struct{}

// Run brings the schema up, and says what it did.
func (migrateCmd) Run(ctx context.Context, g *globals) (err error) {
	cfg, err := g.load(needDatabase)
	if err != nil {
		return err
	}
	db, err := openDatabase(ctx, cfg, newLogger(cfg.Log, g.Stderr))
	if err != nil {
		return err
	}
	defer closing(&err, db.Close)
	defer g.attend(&err, db.vacant)()
	applied, err := db.migrate(ctx)
	for _, m := range applied {
		fmt.Fprintf(g.Stdout, "%s in %s\n", m.File, m.Took.Round(time.Millisecond))
	}
	if err == nil && len(applied) == 0 {
		fmt.Fprintln(g.Stdout, "the schema is up to date")
	}
	return err
}

// closing closes in a defer: its error counts when there was none before.
func closing(err *error, closer func() error) {
	if closed := closer(); *err == nil {
		*err = closed
	}
}
