package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// tables are what a dump of the database holds, as far as it is the poller's.
var tables = []string{"watched_users", "apps", "user_states", "transitions", "snapshots", "relay_cursors"}

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

// A database that was restored to an older state than the stream: the app
// halts, poller adopt mends it beside the running daemon, which goes on by
// itself. A consumer sees no gap and nothing twice; ids are not used again.
func TestAdoptAfterARestore(t *testing.T) {
	t.Parallel()
	for _, overtaken := range []bool{false, true} {
		t.Run(fmt.Sprintf("overtaken=%t", overtaken), func(t *testing.T) {
			t.Parallel()
			w, users, restore := lived(t)
			last := len(w.events(0))
			restore()
			daemon := w.start("run")
			w.untilHalted(daemon)
			// Sweeps go on, with other content under the same numbers and ids.
			w.flip(users, 30)
			w.sweeps(2)
			for overtaken && w.count(`select last_seq from apps`) <= last {
				w.flip(users, 60)
				w.sweeps(1)
			}
			w.untilHalted(daemon)
			if n := len(w.events(0)); n != last {
				t.Fatalf("the stream has %d events, want %d as before", n, last)
			}

			dry, _ := w.adopt(0, "--dry-run")
			if dry.Adopted || dry.Fork != 300 || dry.Last != int64(last) || dry.Imported != int64(last)-300 || dry.Dropped == 0 || len(dry.Missing) != 0 {
				t.Errorf("dry run: %+v, want the fork at 300 and %d events imported", dry, last-300)
			}
			log := w.text(`select log from apps`)
			report, _ := w.adopt(0)
			if !report.Adopted || report.Fork != 300 || report.Imported != int64(last)-300 || report.NewUsers != 10 || report.Log == log {
				t.Errorf("adopted: %+v, want 10 new users and another log than %s", report, log)
			}
			w.untilReady(daemon)
			w.flip(users, 10)
			w.sweeps(2)
			daemon.stop()
			w.audit()
			all := w.events(0)
			w.auditIntervals(all)
			if len(all) < last+10 {
				t.Fatalf("%d events, want more than %d", len(all), last+10)
			}
			if next := all[last]; next.Seq != int64(last)+1 || next.Log != report.Log || all[last-1].Log != log {
				t.Errorf("behind event %d of log %s comes %s, want log %s", last, all[last-1].Log, next.id, report.Log)
			}

			before := w.fingerprint()
			again, _ := w.adopt(0)
			if again.Adopted || again.Why != "" || w.fingerprint() != before {
				t.Errorf("adopted once more: %+v, want that nothing is done", again)
			}
		})
	}
}

func (w *world) text(sql string) (s string) {
	w.t.Helper()
	if err := w.pool.QueryRow(context.Background(), sql).Scan(&s); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return s
}

// The database is restored under a daemon that lives on.
func TestAdoptAfterARestoreUnderADaemon(t *testing.T) {
	t.Parallel()
	w, users, restore := lived(t)
	daemon := w.start("run")
	w.flip(users, 10)
	w.sweeps(2)
	last := len(w.events(0))
	restore()
	w.untilHalted(daemon)
	if dry, _ := w.adopt(0, "--dry-run"); dry.Fork != 300 {
		t.Errorf("dry run: %+v, want the fork at 300", dry)
	}
	w.adopt(0)
	w.untilReady(daemon)
	w.flip(users, 10)
	w.sweeps(2)
	daemon.stop()
	w.audit()
	w.auditIntervals(w.events(0))
	if n := len(w.events(0)); n < last+10 {
		t.Errorf("%d events, want more than %d", n, last+10)
	}
}

// A new and empty database beside the old stream: the watchlist is filled again,
// and the whole stream becomes the ledger.
func TestAdoptIntoAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	w, users, _ := lived(t)
	last := len(w.events(0))
	w.exec(`truncate apps, user_states, transitions, snapshots, relay_cursors`)
	daemon := w.start("run")
	w.untilHalted(daemon)
	report, _ := w.adopt(0)
	if report.Fork != 0 || report.Imported != int64(last) || report.NewUsers != 5 || report.Missing != nil {
		t.Errorf("adopted: %+v, want all %d events, and numbers for the 5 users who are no longer on the watchlist", report, last)
	}
	w.untilReady(daemon)
	w.flip(users, 10)
	w.sweeps(2)
	daemon.stop()
	w.audit()
	w.auditIntervals(w.events(0))

	// And once more, with nobody to see that it happened.
	w.exec(`truncate apps, user_states, transitions, snapshots, relay_cursors`)
	if report, _ := w.adopt(0); report.NewUsers == 0 {
		t.Errorf("adopted: %+v, want users whom nobody knew", report)
	}
	w.run("sweep")
	w.audit()
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

// The front of the stream has expired. As long as it reaches back to the ledger
// nothing is missing; else it is refused and the range named, unless it is
// accepted: then the bucket tells what each user's last event was.
func TestAdoptBehindAnExpiredFront(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first   uint64
		missing bool
	}{{301, false}, {331, true}} {
		t.Run(fmt.Sprint(c.first), func(t *testing.T) {
			t.Parallel()
			w, users, restore := lived(t)
			last := int64(len(w.events(0)))
			w.purge(c.first)
			restore()
			w.run("sweep") // which halts, and goes on with other content
			if c.missing {
				before := w.fingerprint()
				report, p := w.adopt(1)
				if !strings.Contains(p.said(), "were told, and are in neither the ledger nor the stream nor the bucket") || len(report.Missing) == 0 {
					t.Errorf("refused with %+v, want the missing events named", report)
				}
				if w.fingerprint() != before {
					t.Error("the database is another after a refusal")
				}
			}
			daemon := w.start("run")
			w.untilHalted(daemon)
			args := []string{}
			if c.missing {
				args = append(args, "--accept-gap")
			}
			report, _ := w.adopt(0, args...)
			if !report.Adopted || report.Fork != 300 || (len(report.Missing) > 0) != c.missing || report.Last != last {
				t.Errorf("adopted: %+v, want the fork at 300 and %d last", report, last)
			}
			w.untilReady(daemon)
			w.flip(users, 20)
			w.sweeps(2)
			daemon.stop()
			w.auditPart(c.first, last+1)
		})
	}
}

// auditPart proves what an audit does of a stream that has lost its front: it is
// the ledger's from that event on, each user's chain goes on from the last event
// that was told, also from those that the stream has lost, and the state is where
// it leads. next is the first event behind the adoption.
func (w *world) auditPart(first uint64, next int64) {
	w.t.Helper()
	all := w.events(int(first) - 1)
	if len(all) == 0 || all[len(all)-1].Seq < next {
		w.t.Fatalf("%d events, want some behind %d", len(all), next)
	}
	if n := w.count(`select count(*) from transitions where seq >= $1`, all[0].Seq); n != len(all) {
		w.t.Errorf("the ledger has %d events from %d on, the stream %d", n, all[0].Seq, len(all))
	}
	lastOf := map[string]told{}
	for i, e := range all {
		if e.Seq != all[0].Seq+int64(i) {
			w.t.Fatalf("event %d in place of %d", e.Seq, all[0].Seq+int64(i))
		}
		if before, ok := lastOf[e.User.ID]; ok && (e.PrevSeq != before.Seq || e.From != before.To) {
			w.t.Errorf("event %d of %q: from %s behind %d, want from %s behind %d", e.Seq, e.User.ID, e.From, e.PrevSeq, before.To, before.Seq)
		}
		lastOf[e.User.ID] = e
	}
	bucket, err := w.js.KeyValue(context.Background(), fmt.Sprintf("presence_%d", uint32(worldApp)))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range lastOf {
		w.until("the bucket follows", func() bool {
			entry, err := bucket.Get(context.Background(), presence.EncodeUser(e.User.ID))
			return err == nil && string(entry.Value()) == string(e.data)
		})
	}
	odd := w.count(`
		select count(*)
		  from user_states u
		  left join lateral (select seq, to_status from transitions t where t.user_no = u.user_no order by seq desc limit 1) t on true
		 where u.last_seq <> coalesce(t.seq, 0) or u.status <> coalesce(t.to_status, 'unknown')`)
	broken := w.count(`
		select count(*)
		  from (select seq, prev_seq, from_status, lag(seq) over w as before, lag(to_status) over w as was
		          from transitions window w as (partition by user_id order by seq)) t
		 where seq >= $1 and before is not null and (prev_seq <> before or from_status <> was)`, next)
	if odd+broken > 0 {
		w.t.Errorf("%d users are not where the ledger leads, %d chains are broken", odd, broken)
	}
	keys, err := bucket.Keys(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, key := range keys {
		entry, err := bucket.Get(context.Background(), key)
		if err != nil {
			w.t.Fatal(err)
		}
		e, err := presence.ParseEvent(entry.Value())
		if err != nil {
			w.t.Fatal(err)
		}
		if n := w.count(`select count(*) from user_states where user_id = $1 and status = $2 and last_seq = $3`, e.User.ID, e.To.String(), e.Seq); n != 1 {
			w.t.Errorf("%q is not as the bucket says: %s behind event %d", e.User.ID, e.To, e.Seq)
		}
		if truth, _, _ := w.truth(e.User.ID); e.To != presence.Unknown && truth != e.To {
			w.t.Errorf("%q is told as %s, the truth is %s", e.User.ID, e.To, truth)
		}
	}
}

// The stream was made anew and the database restored: nothing in the stream
// shows it, but the bucket remembers. Also when the ledger has overtaken.
func TestAdoptFromTheBucketAlone(t *testing.T) {
	t.Parallel()
	w, users, restore := lived(t)
	last := int64(len(w.events(0)))
	restore()
	if err := w.js.DeleteStream(context.Background(), fmt.Sprintf("PRESENCE_%d", uint32(worldApp))); err != nil {
		t.Fatal(err)
	}
	daemon := w.start("run")
	w.untilHalted(daemon)
	for int64(w.count(`select last_seq from apps`)) <= last {
		w.flip(users, 60)
		w.sweeps(1)
	}
	w.untilHalted(daemon)
	if n := len(w.events(0)); n != 0 {
		t.Fatalf("%d events in the new stream, want none", n)
	}
	if report, _ := w.adopt(1); len(report.Missing) == 0 || report.Adopted {
		t.Errorf("refused with %+v, want the missing events named", report)
	}
	report, _ := w.adopt(0, "--accept-gap")
	if !report.Adopted || report.Last != last || report.Fork < 280 || report.Fork > 300 {
		t.Errorf("adopted: %+v, want the fork near 300 and %d last", report, last)
	}
	w.untilReady(daemon)
	w.flip(users, 20)
	w.sweeps(2)
	daemon.stop()
	if all := w.events(0); len(all) == 0 || all[0].Seq != last+1 || all[0].Log != report.Log {
		t.Errorf("the new stream has %d events, want them from %d on under log %s", len(all), last+1, report.Log)
	}
	w.auditPart(1, last+1)
}

// What an adoption cannot mend is refused, and the mend named.
func TestAdoptRefuses(t *testing.T) {
	t.Parallel()
	w, _, restore := lived(t)
	restore()
	name := fmt.Sprintf("PRESENCE_%d", uint32(worldApp))
	ack, err := w.js.Publish(context.Background(), presence.Subject(worldApp, presence.KindOnline, "mallory"), []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	before := w.fingerprint()
	if _, p := w.adopt(1); !strings.Contains(p.said(), fmt.Sprintf("mend: nats stream rmm %s %d", name, ack.Sequence)) {
		t.Error("somebody else's message at the end: the mend is not named")
	}
	if w.fingerprint() != before {
		t.Error("the database is another after a refusal")
	}
	if _, code := w.run("adopt", "--app", "7"); code != exitUsage {
		t.Errorf("adopt of an app that is not configured: exit code %d, want %d", code, exitUsage)
	}
}
