package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// trap is a hook that breaks what it watches for, once, and says so.
type trap struct {
	word    string
	verdict localtest.Verdict
	sprung  atomic.Bool
	then    func()
}

func (s *trap) hook(_ int, d localtest.Direction, data []byte) localtest.Verdict {
	if s == nil || d != localtest.ToServer || !bytes.Contains(data, []byte(s.word)) || !s.sprung.CompareAndSwap(false, true) {
		return localtest.Pass
	}
	s.then()
	return s.verdict
}

// An erasure is broken off at each of its steps, before and after the server has heard of it, and run again: then
// everything is gone, and all of it was told. Nothing is lost in between: the streams always agree with the ledger.
func TestForgetBrokenOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	steps := []struct {
		postgres bool
		word     string
	}{
		{true, "set_config"}, {true, "insert into erasures"}, {true, "delete from user_states"}, {true, "commit"},
		{true, "update erasures set untold"}, {false, "PUB presence.v1."}, {false, "PUB presence.control."},
		{false, "STREAM.MSG.DELETE."}, {false, "STREAM.PURGE."},
	}
	victims := map[string]zimsim.State{}
	for i := range steps {
		victims[fmt.Sprintf("victim %d.", 2*i)], victims[fmt.Sprintf("victim %d.", 2*i+1)] = zimsim.Online, zimsim.Timeout
	}
	refused := map[string]zimsim.State{"deny.d": zimsim.Online}
	users := population(20)
	for _, some := range []map[string]zimsim.State{victims, users, refused} {
		w.set(some)
		w.watch(keys(some)...)
	}
	w.run("sweep")
	for id := range victims {
		w.set(map[string]zimsim.State{id: zimsim.LoggedOut})
	}
	w.run("sweep")
	restore := w.backup()
	w.set(map[string]zimsim.State{"victim 0.": zimsim.Online, "victim 1.": zimsim.Timeout})
	w.run("sweep")
	var want presence.SeqSet
	for i, step := range steps {
		for j, verdict := range []localtest.Verdict{localtest.CutBefore, localtest.CutAfter} {
			user := fmt.Sprintf("victim %d.", 2*i+j)
			if step.word == "PUB presence.v1." { // it has something to tell, and an event of the victim to tell as erased
				w.set(map[string]zimsim.State{user: zimsim.Online})
				w.untoldSweep()
			}
			want = want.Union(w.numbersOf(user))
			w.breakOff(user, step.postgres, &trap{word: step.word, verdict: verdict})
			code, report, said := w.forgetHere(t.Context(), nil, nil, user, "--yes")
			if code != 0 || report.left() != nil {
				t.Errorf("%s, again: exit code %d, %+v, %s", step.word, code, report, said)
			}
			w.traceless(user)
			if code, report, said := w.forgetHere(t.Context(), nil, nil, user, "--dry-run"); code != 0 || report.any() {
				t.Errorf("%s, and looked for: exit code %d, %+v, %s", step.word, code, report, said)
			}
			if got := w.erased(); !slices.Equal(got, want) {
				t.Fatalf("%s: told as erased %v, want %v", step.word, got, want)
			}
		}
	}
	w.run("sweep")
	w.auditErased()
	w.disagrees()
	w.restored(restore)
	w.streamRefuses()
}

// restored goes back to a database from before the erasures, where everybody is again. What was erased since is adopted as
// tombstones, and who was erased is erased again.
func (w *world) restored(restore func()) {
	w.t.Helper()
	told := w.erased()
	restore()
	report, p := w.adopt(0)
	if !report.Adopted || len(report.Missing) > 0 {
		w.t.Errorf("adopted: %+v, want nothing missing\n%s", report, p.said())
	}
	if n := w.count(`select count(*) from transitions where kind = 'erased'`); n == 0 {
		w.t.Error("no tombstone was imported")
	}
	for i := range 18 {
		user := fmt.Sprintf("victim %d.", i)
		if n := w.count(`select count(*) from transitions where user_id = $1`, user); n == 0 {
			w.t.Errorf("%s is not in the database that was restored: this test would prove nothing", user)
		}
		if code, report, said := w.forgetHere(context.Background(), nil, nil, user, "--yes"); code != 0 || report.Told != 0 {
			w.t.Errorf("erased again: exit code %d, %+v, %s; want nothing told that was told before", code, report, said)
		}
		w.traceless(user)
	}
	if got := w.erased(); !slices.Equal(got, told) {
		w.t.Errorf("told as erased: %v, want %v as before", got, told)
	}
	w.run("sweep")
	w.auditErased()
}

// disagrees wants nothing to be erased while the ledger is not what was told: afterwards it could not be seen any more.
func (w *world) disagrees() {
	w.t.Helper()
	w.exec(`update transitions set sweep = sweep + 1 where seq = (select last_seq from apps)`)
	rows := w.count(`select count(*) from transitions where user_id = 'deny.d'`)
	code, report, said := w.forgetHere(context.Background(), nil, nil, "deny.d", "--yes")
	if code != 1 || report.ErasedAt != nil || !strings.Contains(said, "nothing was removed: the stream ends with event") {
		w.t.Errorf("exit code %d, %+v, %s; want it refused", code, report, said)
	}
	if now := w.count(`select count(*) from transitions where user_id = 'deny.d'`); now != rows || rows == 0 {
		w.t.Errorf("%d rows are left of %d", now, rows)
	}
	w.exec(`update transitions set sweep = sweep - 1 where seq = (select last_seq from apps)`)
}

// breakOff runs poller forget until the trap springs.
func (w *world) breakOff(user string, postgres bool, s *trap) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.then = cancel
	var code int
	var said string
	if postgres {
		code, _, said = w.forgetHere(ctx, s, nil, user, "--yes")
	} else {
		code, _, said = w.forgetHere(ctx, nil, s, user, "--yes")
	}
	if !s.sprung.Load() || code != 1 {
		w.t.Errorf("%s: sprung %t, exit code %d, %s; want it broken off", s.word, s.sprung.Load(), code, said)
	}
	w.holesAreTold()
}

// holesAreTold wants every number that the stream lacks to be one that was told as erased.
func (w *world) holesAreTold() {
	w.t.Helper()
	var there []int64
	for _, e := range w.standing() {
		there = append(there, e.Seq)
	}
	all := presence.SeqSet{{First: 1, Last: slices.Max(there)}}
	if untold := all.Without(presence.SeqSetOf(there...)).Without(w.erased()); len(untold) > 0 {
		w.t.Errorf("the stream lacks %v, which nobody was told", untold)
	}
}

// forgetHere runs poller forget in this process, with traps before its servers.
func (w *world) forgetHere(ctx context.Context, postgres, nats *trap, user string, args ...string) (code int, report forgetReport, said string) {
	w.t.Helper()
	db, dsn := localtest.PostgresProxy(w.t, w.dsn)
	db.SetHook(postgres.hook)
	bus := localtest.NewProxy(w.t, "tcp", strings.TrimPrefix(w.nats.URL(), "nats://"))
	bus.SetHook(nats.hook)
	env := append(slices.Clone(w.env), "POLLER_DATABASE_URL="+dsn, "POLLER_NATS_URL="+bus.Through(w.nats.URL()))
	var out bytes.Buffer
	errs := new(sharedLog) // connections log while they close
	code = execute(ctx, append([]string{"forget", "-o", "json", user}, args...), env, &out, errs)
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			w.t.Fatalf("%s: %v", out.String(), err)
		}
	}
	if strings.Contains(out.String()+errs.String(), user) {
		w.t.Errorf("poller forget names the user: %s%s", out.String(), errs.String())
	}
	return code, report, errs.String()
}

// sharedLog is a log that several goroutines write.
type sharedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *sharedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *sharedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// numbersOf are the events of a user in the ledger.
func (w *world) numbersOf(user string) presence.SeqSet {
	w.t.Helper()
	var seqs []int64
	err := w.pool.QueryRow(context.Background(), `select coalesce(array_agg(seq), '{}') from transitions where user_id = $1`, user).Scan(&seqs)
	if err != nil {
		w.t.Fatal(err)
	}
	return presence.SeqSetOf(seqs...)
}

// untoldSweep is a sweep whose events stay untold: NATS is away.
func (w *world) untoldSweep() {
	w.t.Helper()
	w.nats.Stop()
	newest := w.count(`select last_seq from apps`)
	w.run("sweep")
	if now := w.count(`select last_seq from apps`); now <= newest {
		w.t.Fatalf("nothing was recorded while NATS was away: event %d", now)
	}
	w.nats.Start()
	w.until("NATS is back", func() bool { return w.js.Conn().IsConnected() })
}

// streamRefuses wants what a stream refuses to be listed, and the rest to be done.
func (w *world) streamRefuses() {
	w.t.Helper()
	ctx := context.Background()
	s, err := w.js.Stream(ctx, stream.EventStreamName(worldApp))
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := s.CachedInfo().Config
	cfg.DenyDelete = true
	if _, err := w.js.UpdateStream(ctx, cfg); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.js.CreateStream(ctx, jetstream.StreamConfig{Name: "ARCHIVE", Mirror: &jetstream.StreamSource{Name: cfg.Name}}); err != nil {
		w.t.Fatal(err)
	}
	code, report, said := w.forgetHere(ctx, nil, nil, "deny.d", "--yes")
	got := report.places()
	if code != 1 || got[cfg.Name] != [3]int{1, 0, 1} || got[stream.BucketStreamName(worldApp)] != [3]int{1, 1, 0} || got["transitions"] != [3]int{1, 1, 0} {
		w.t.Errorf("exit code %d, %+v, want the event left alone", code, report)
	}
	if !strings.Contains(said, "not everything was removed") || !slices.Equal(report.Copies, []string{"ARCHIVE"}) {
		w.t.Errorf("%s, copies %v; want it said, and the mirror named", said, report.Copies)
	}
	for _, p := range report.Places {
		if (p.Place == cfg.Name) != strings.Contains(p.Why, "message delete not permitted") {
			w.t.Errorf("%s: %q", p.Place, p.Why)
		}
	}
}
