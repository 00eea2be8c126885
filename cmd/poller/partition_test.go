package main

import (
	"context"
	"testing"
)

// What stands in the way of next week's partition does not stop today's work: an analyze, a create index.
func TestTakeoverWithoutNextWeeksPartition(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0")
	w.exec(`select ensure_partitions(7)`)
	w.exec(`do $$ begin execute (select 'drop table ' || max(inhrelid::regclass::text) from pg_inherits where inhparent = 'transitions'::regclass); end $$`)
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `lock table transitions in share update exclusive mode`); err != nil {
		t.Fatal(err)
	}
	users := population(10)
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")
	w.untilReady(daemon)
	w.newEvents(0, len(users))
	if daemon.logged("partitions were not made; tried again in an hour, and when one is missing") == 0 {
		t.Error("the log does not say that a partition is missing")
	}
	daemon.stop()
}
