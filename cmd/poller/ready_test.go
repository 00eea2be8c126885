package main

import (
	"bytes"
	"sync/atomic"
	"testing"

	"github.com/zim-presence/poller/internal/local/localtest"
)

// readOnlyByDefault makes every session read-only that begins from now on.
const readOnlyByDefault = `do $$ begin execute format('alter database %I set default_transaction_read_only = on', current_database()); end $$`

// writableByDefault undoes it, for sessions that begin from now on.
const writableByDefault = `do $$ begin execute format('alter database %I reset default_transaction_read_only', current_database()); end $$`

// A database that cannot be migrated for the moment is waited for, as one that
// does not answer is: its connections are cut in the middle, its sessions are
// terminated, it is read-only. A supervisor would start the program again and
// again for it.
func TestMigrationInBadWeather(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"cut", "read-only"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.exec(`drop schema public cascade`)
			w.exec(`create schema public`)
			proxy, through := localtest.PostgresProxy(t, w.dsn)
			w.env = append(without(w.env, "POLLER_DATABASE_URL="), "POLLER_DATABASE_URL="+through)
			var cuts atomic.Int32
			if fault == "cut" {
				proxy.SetHook(func(_ int, d localtest.Direction, data []byte) localtest.Verdict {
					if d == localtest.ToServer && bytes.Contains(data, []byte("poller_migrations")) && cuts.Add(1) <= 3 {
						return localtest.CutBefore
					}
					return localtest.Pass
				})
			} else {
				w.exec(readOnlyByDefault)
			}
			daemon := w.start("run")
			w.until("it waits", func() bool { return daemon.logged("waiting for the database") >= 2 })
			if fault == "read-only" {
				w.exec(writableByDefault)
			}
			w.until("the schema is up", func() bool { return daemon.logged("migrated") > 0 })
			w.watch("alice")
			w.sweeps(1)
			daemon.stop()
		})
	}
}
