package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/zim-presence/poller/internal/local/localtest"
)

// verify runs poller verify and reads what it writes.
func (w *world) verify(code int, args ...string) (r verifyReport) {
	w.t.Helper()
	out, got := w.run(append([]string{"verify", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil || got != code {
		w.t.Fatalf("poller verify %v: exit code %d, want %d; %v: %s", args, got, code, err, out)
	}
	return r
}

// Beside a daemon that works, nothing is found; what is damaged by hand is, and
// named by kind and key.
func TestVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	users := population(200)
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")
	w.newEvents(0, len(users))
	for range 3 {
		w.flip(users, 40)
		if r := w.verify(0); !r.Sound || r.Events < len(users) || r.Users != len(users) || r.Snapshots == 0 || r.Messages < len(users) || r.Entries != len(users) {
			t.Errorf("beside the daemon: %+v", r)
		}
	}
	w.sweeps(1)
	daemon.stop()
	w.audit()
	if out, code := w.run("verify"); code != 0 || !strings.HasSuffix(out, "\nall agree\n") {
		t.Errorf("poller verify: exit code %d, %s", code, out)
	}

	w.exec(`update user_states set status = 'unknown' where user_id = $1`, keys(users)[0])
	w.exec(`delete from transitions where seq = 20`)
	r := w.verify(1)
	if len(r.Found) != 2 || r.Found[0].Kind != "ledger" || r.Found[0].Key != "20" || r.Found[1].Kind != "state" || r.Found[1].Key != keys(users)[0] {
		t.Errorf("after the damage: %+v", r)
	}
	if r := w.verify(0, "--from", "21", "--to", "100"); r.Last != 100 || r.StateAndBucket {
		t.Errorf("behind the damage: %+v", r)
	}
	if out, code := w.run("verify", "--from", "21", "--to", "100"); code != 0 || !strings.Contains(out, " and 80 messages of the stream in ") ||
		!strings.HasSuffix(out, "\nstate and bucket: not looked at (--to)\nall agree\n") {
		t.Errorf("behind the damage: exit code %d, %s", code, out)
	}
	before := time.Now().Add(-time.Hour).Format(time.RFC3339)
	if out, code := w.run("verify", "--to", before); code != 0 || strings.Contains(out, "all agree") || !strings.HasSuffix(out, "\nnothing is there to be looked at\n") {
		t.Errorf("before everything: exit code %d, %s", code, out)
	}
	if r := w.verify(0, "--to", before); r.Events != 0 {
		t.Errorf("before everything: %+v", r)
	}
	p := w.start("verify")
	if code := p.ended(); code != 1 || !strings.Contains(p.said(), "app 4000000001 is damaged: ledger, state") || !strings.Contains(p.out.String(), "the ledger does not have event 20") {
		t.Errorf("poller verify: exit code %d, %s, %s", code, p.out.String(), p.said())
	}
	for _, args := range [][]string{{"--from", "0"}, {"--from", "yesterday"}, {"--from", "5", "--to", "4"}, {"--app", "7"},
		{"--from", "5000000"}, {"--to", "1000000"}, {"--from", "2999-01-01"}, {"--to", "2999-01-01"}} {
		if _, code := w.run(append([]string{"verify"}, args...)...); code != exitUsage {
			t.Errorf("poller verify %v: exit code %d, want %d", args, code, exitUsage)
		}
	}
}

// verifiesAs runs poller verify with the permissions that the manual gives it.
func (w *world) verifiesAs(db *localtest.TCPPostgres, server *localtest.ConfiguredNATS) {
	w.t.Helper()
	env := w.env
	w.env = append(w.env[:len(w.env):len(w.env)], "POLLER_DATABASE_URL="+as(db, "auditor", "presence"), "POLLER_NATS_URL=nats://reader:secret@"+server.Addr())
	if r := w.verify(0); !r.Sound || r.Messages == 0 || r.Entries == 0 {
		w.t.Errorf("poller verify with the least permissions: %+v", r)
	}
	w.env = env
}
