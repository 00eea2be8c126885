package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/zim-presence/poller/presence"
)

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

// A watchlist that was forgotten with the database: the dry run says so, and the
// adoption is refused unless the removals are meant. Fewer than half are only
// reported.
func TestAdoptWithoutAWatchlist(t *testing.T) {
	t.Parallel()
	w, users, restore := lived(t)
	list := w.count(`select count(*) from watched_users`) // all of whom were told
	restore()
	w.flip(users, 30)
	w.run("sweep") // which halts, and goes on with other content
	w.exec(`create table list as table watched_users`)
	w.exec(`truncate watched_users`)

	before := w.fingerprint()
	dry, _ := w.adopt(0, "--dry-run")
	if dry.Known != int64(list) || dry.Unlisted != dry.Known {
		t.Errorf("dry run: %+v, want none of %d users on the watchlist", dry, list)
	}
	report, p := w.adopt(1)
	if report.Adopted || report.Unlisted != int64(list) || !strings.Contains(p.said(), "fill watched_users first") {
		t.Errorf("refused with %+v, want the watchlist named", report)
	}
	if w.fingerprint() != before {
		t.Error("the database is another after a refusal")
	}

	w.exec(`insert into watched_users select * from list`)
	dry, _ = w.adopt(0, "--dry-run")
	if dry.Unlisted != 10 || dry.mostRemoved() {
		t.Errorf("dry run: %+v, want the 10 who came after the backup not on the watchlist", dry)
	}
	w.exec(`truncate watched_users`)
	if report, _ = w.adopt(0, "--accept-removals"); !report.Adopted || report.Watched != report.Known || report.Unlisted != report.Known {
		t.Errorf("adopted: %+v, want all users reported as not on the watchlist", report)
	}
	w.exec(`insert into watched_users select * from list`)
	told := len(w.events(0))
	w.run("sweep")
	removed := 0
	for _, e := range w.events(told) {
		if e.To == presence.Unknown {
			removed++
		}
	}
	if removed != 10 {
		t.Errorf("%d users were told as removed, want the 10 that the report named", removed)
	}
	w.audit()
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
