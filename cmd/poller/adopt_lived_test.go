package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/zimsim"
)

// tables are what a dump of the database holds, as far as it is the poller's.
var tables = []string{"watched_users", "apps", "user_states", "transitions", "snapshots", "relay_cursors", "gaps", "erasures"}

// backup copies the database aside. The function that is returned restores it.
func (w *world) backup() (restore func()) {
	w.t.Helper()
	w.exec(`drop schema if exists dump cascade`)
	w.exec(`create schema dump`)
	for _, table := range tables {
		w.exec(`create table dump.` + table + ` as table ` + table)
	}
	return func() {
		w.t.Helper()
		tx, err := w.pool.Begin(context.Background())
		for _, table := range tables {
			if err == nil {
				_, err = tx.Exec(context.Background(), `truncate `+table)
			}
			if err == nil {
				_, err = tx.Exec(context.Background(), `insert into `+table+` select * from dump.`+table)
			}
		}
		if err == nil {
			err = tx.Commit(context.Background())
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// untilTold waits until that event has been told.
func (w *world) untilTold(seq int) {
	w.t.Helper()
	w.until(fmt.Sprintf("event %d", seq), func() bool { return w.count(`select coalesce(max(told_seq), 0) from relay_cursors`) >= seq })
}

// flip changes the status of n users, and returns them.
func (w *world) flip(users map[string]zimsim.State, n int) (changed map[string]zimsim.State) {
	w.t.Helper()
	changed = map[string]zimsim.State{}
	for _, id := range among(users, zimsim.Online, n/2) {
		changed[id] = zimsim.Timeout
	}
	for _, id := range among(users, zimsim.LoggedOut, n-n/2) {
		changed[id] = zimsim.Online
	}
	for id, state := range changed {
		users[id] = state
	}
	w.set(changed)
	return changed
}

// fingerprint is all that an adoption could change.
func (w *world) fingerprint() (sum string) {
	w.t.Helper()
	for _, table := range tables[1:] {
		var text string
		if err := w.pool.QueryRow(context.Background(), `select coalesce(md5(string_agg(t::text, '|' order by t::text)), '') from `+table+` t`).Scan(&text); err != nil {
			w.t.Fatal(err)
		}
		sum += text + " "
	}
	return sum
}

// adopt runs poller adopt, which has to end with that code.
func (w *world) adopt(code int, args ...string) (adoptReport, *process) {
	w.t.Helper()
	p := w.start(append([]string{"adopt", "-o", "json"}, args...)...)
	if got := p.ended(); got != code {
		w.t.Fatalf("poller adopt %v: exit code %d, want %d", args, got, code)
	}
	var report adoptReport
	if out := p.out.Bytes(); len(out) > 0 {
		if err := json.Unmarshal(out, &report); err != nil {
			w.t.Fatalf("%s: %v", out, err)
		}
	}
	return report, p
}

// streamCheck is the readiness check that an old database turns red.
var streamCheck = fmt.Sprintf("stream/%d", uint32(worldApp))

// untilHalted waits until the program says that the database is older than the
// stream, and names the mend.
func (w *world) untilHalted(p *process) {
	w.t.Helper()
	mend := fmt.Sprintf("mend: poller adopt --app %d", uint32(worldApp))
	w.until("the red check that names the mend", func() bool { _, red := p.ready(); return strings.Contains(red[streamCheck], mend) })
}

// lived is a world whose database was backed up after 300 users were told of;
// after that 40 changed, some were added and some removed, which all was told.
func lived(t *testing.T) (w *world, users map[string]zimsim.State, restore func()) {
	t.Helper()
	w = newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0")
	users = population(290)
	w.set(users)
	ids := keys(users)
	w.watch(ids...)
	daemon := w.start("run")
	w.untilTold(290)
	w.flip(users, 10)
	w.untilTold(300)
	daemon.stop()
	restore = w.backup()

	daemon = w.start("run")
	changed := w.flip(users, 40)
	w.unwatch(ids[:5]...)
	for i := range 10 {
		id := fmt.Sprintf("late-%d", i)
		users[id] = zimsim.State(i % 3)
		w.set(map[string]zimsim.State{id: users[id]})
		w.watch(id)
	}
	w.sweeps(2)
	for id, state := range changed { // some of what was told is no longer anybody's last event
		if users[id] = zimsim.LoggedOut; state == zimsim.Timeout {
			users[id] = zimsim.Online
		}
		changed[id] = users[id]
	}
	w.set(changed)
	w.sweeps(2)
	daemon.stop()
	w.audit()
	return w, users, restore
}

// purge drops the front of the event stream, as its age limit does.
func (w *world) purge(first uint64) {
	w.t.Helper()
	stream, err := w.js.Stream(context.Background(), fmt.Sprintf("PRESENCE_%d", uint32(worldApp)))
	if err == nil {
		err = stream.Purge(context.Background(), jetstream.WithPurgeSequence(first))
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) text(sql string) (s string) {
	w.t.Helper()
	if err := w.pool.QueryRow(context.Background(), sql).Scan(&s); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return s
}
