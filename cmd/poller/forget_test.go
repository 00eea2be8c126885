package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/audit"
	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// forget runs poller forget, which has to end with that code and must not name the user.
func (w *world) forget(user string, code int, args ...string) (forgetReport, *process) {
	w.t.Helper()
	p := w.start(append([]string{"forget", "-o", "json", user}, args...)...)
	if got := p.ended(); got != code {
		w.t.Fatalf("poller forget %v: exit code %d, want %d\n%s\n%s", args, got, code, p.said(), p.out.String())
	}
	if said := p.said() + p.out.String(); strings.Contains(said, user) {
		w.t.Errorf("poller forget names the user: %s", said)
	}
	var report forgetReport
	if out := p.out.Bytes(); len(out) > 0 {
		if err := json.Unmarshal(out, &report); err != nil {
			w.t.Fatalf("%s: %v", out, err)
		}
	}
	return report, p
}

// places are what a report says of each place: found, removed, left.
func (r forgetReport) places() map[string][3]int {
	all := map[string][3]int{}
	for _, p := range r.Places {
		all[p.Place] = [3]int{p.Found, p.Removed, p.Left}
	}
	return all
}

// traceless wants the user nowhere in the database: in no column of any table, and no hash of the id either.
func (w *world) traceless(user string) {
	w.t.Helper()
	rows, err := w.pool.Query(context.Background(), `
		select c.oid::regclass::text from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition`)
	if err != nil {
		w.t.Fatal(err)
	}
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			w.t.Fatal(err)
		}
		tables = append(tables, name)
	}
	if len(tables) < 8 || rows.Err() != nil {
		w.t.Fatalf("tables %v, %v", tables, rows.Err())
	}
	if n := w.count(`select count(*) from pg_stats where position($1 in most_common_vals::text) > 0 or position($1 in histogram_bounds::text) > 0`, user); n > 0 {
		w.t.Errorf("%d of the planner's statistics name the user", n)
	}
	for _, table := range tables {
		n := w.count(`select count(*) from `+table+` t where position($1 in t::text) > 0 or position($2 in t::text) > 0`,
			user, fmt.Sprintf("%x", sha256.Sum256([]byte(user))))
		if n > 0 {
			w.t.Errorf("the user is still in %d rows of %s", n, table)
		}
	}
}

// kept returns the files of the NATS server that name the user.
func (w *world) kept(user string) (files []string) {
	w.t.Helper()
	err := filepath.WalkDir(w.nats.StoreDir(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(user)) || bytes.Contains(data, []byte(presence.EncodeUser(user))) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return files
}

// auditErased is audit of a stream with holes: the erased ones, and no others.
func (w *world) auditErased() {
	w.t.Helper()
	report, err := audit.Audit{DB: w.pool, JS: w.js, App: worldApp, Truth: w.truth, Patience: patience}.Run(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range report.Findings {
		w.t.Error(f)
	}
}

// A user is erased while the daemon runs and the user is online: nobody hears of a removal, the user is nowhere any more,
// the numbers go on without a gap, the holes are those that were told, also when the erased event was the last of the
// stream and of the bucket. Who comes back is a new user.
func TestForget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "POLLER_HTTP_LISTEN=127.0.0.1:0")
	const victim = "vic.tim>of it"
	users := population(30)
	users[victim] = zimsim.LoggedOut
	w.set(users)
	w.watch(keys(users)...)
	daemon := w.start("run")
	w.untilTold(31)
	for i, state := range []zimsim.State{zimsim.Online, zimsim.Timeout, zimsim.Online} { // the last event is the victim's
		w.set(map[string]zimsim.State{victim: state})
		w.untilTold(32 + i)
	}
	if out, code := w.run("replay", "--name", "one", "--user", victim); code != 0 {
		t.Fatalf("poller replay: exit code %d, %s", code, out)
	}
	before := w.events(0)
	if before[33].User.ID != victim {
		t.Fatalf("the last event is %s's", before[33].User.ID)
	}
	event, bucket, replay := stream.EventStreamName(worldApp), stream.BucketStreamName(worldApp), stream.ReplayStreamName(worldApp, "one")
	w.until("the bucket has it", func() bool { return w.keys()[victim].Seq == 34 })

	w.exec(`analyze`)
	epoch := w.count(`select epoch from apps`)
	want := map[string][3]int{"watched_users": {1, 0, 1}, "user_states": {1, 0, 1}, "transitions": {4, 0, 4}, "replays": {1, 0, 1}, "pg_stats": {4, 0, 4}, event: {4, 0, 4}, bucket: {1, 0, 1}, replay: {4, 0, 4}}
	for code, args := range map[int][]string{0: {"--dry-run"}, 2: nil} {
		if report, _ := w.forget(victim, code, args...); !equal(report.places(), want) || report.ErasedAt != nil {
			t.Errorf("looked: %+v, want %v", report, want)
		}
	}
	if w.count(`select epoch from apps`) != epoch || w.count(`select count(*) from transitions where user_id = $1`, victim) != 4 || len(w.events(0)) != 34 {
		t.Fatal("looking has changed something")
	}

	report, _ := w.forget(victim, 0, "--yes")
	want = map[string][3]int{"watched_users": {1, 1, 0}, "user_states": {1, 1, 0}, "transitions": {4, 4, 0}, "replays": {1, 1, 0}, "pg_stats": {4, 4, 0}, event: {4, 4, 0}, bucket: {1, 1, 0}, replay: {4, 4, 0}}
	if !equal(report.places(), want) || report.Told != 4 || report.ErasedAt == nil || time.Since(*report.ErasedAt).Abs() > time.Hour {
		t.Errorf("forgotten: %+v, want %v and four events told", report, want)
	}
	w.traceless(victim)
	w.untilReady(daemon)
	flipped := w.flip(users, 5)
	w.sweeps(2)
	daemon.stop()
	w.auditErased()
	daemon = w.start("run")
	w.untilReady(daemon)
	w.flip(users, 5)
	w.sweeps(2)
	w.seqs(before)
	if len(flipped) != 5 {
		t.Fatal("nobody was flipped")
	}

	// Erased events are told on the control stream, and nowhere else.
	erased := w.erased()
	if want := presence.SeqSetOf(before[33].Seq, before[32].Seq, before[31].Seq, seqOf(before, victim)); !slices.Equal(erased, want) {
		t.Errorf("told as erased: %v, want %v", erased, want)
	}
	again, _ := w.forget(victim, 0, "--yes")
	if again.any() || again.ErasedAt != nil || again.Told != 0 {
		t.Errorf("forgotten again: %+v, want nothing found", again)
	}

	// Who comes back is new.
	w.watch(victim)
	behind := len(w.standing())
	w.until("the user is told again", func() bool { return w.count(`select count(*) from transitions where user_id = $1`, victim) > 0 })
	w.until("it is in the stream", func() bool { return len(w.standing()) > behind })
	all := w.standing()
	if e := all[len(all)-1]; e.User.ID != victim || e.Kind != presence.KindBaseline || e.PrevSeq != 0 {
		t.Errorf("who comes back is told as %+v, want a baseline without an event before", e)
	}
	w.forget(victim, 0, "--yes")
	daemon.stop()
	w.auditErased()
	w.traceless(victim)
	for _, p := range []string{event, replay} {
		w.nats.Restart()
		for _, file := range w.kept(victim) {
			if strings.Contains(file, p+string(filepath.Separator)) {
				t.Errorf("the server still keeps the user in %s", file)
			}
		}
	}
	for _, line := range daemon.lines {
		if strings.Contains(line, victim) {
			t.Errorf("the daemon's log names the user: %s", line)
		}
	}
}

// standing reads what is left of the event stream, which has holes.
func (w *world) standing() (events []presence.Event) {
	w.t.Helper()
	ctx := context.Background()
	s, err := w.js.Stream(ctx, stream.EventStreamName(worldApp))
	if err != nil {
		w.t.Fatal(err)
	}
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			w.t.Fatal(err)
		}
		e, err := presence.ParseEvent(m.Data)
		if err != nil {
			w.t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

// seqs wants the events of the stream to go on from those before without a gap but the erased, and nobody removed.
func (w *world) seqs(before []told) {
	w.t.Helper()
	erased := w.erased()
	next := int64(1)
	for _, e := range w.standing() {
		for erased.Contains(next) {
			next++
		}
		if e.Seq != next {
			w.t.Errorf("event %d where %d has to follow", e.Seq, next)
		}
		if e.Kind == presence.KindRemoved {
			w.t.Errorf("event %d: %s was removed", e.Seq, e.User.ID)
		}
		next = e.Seq + 1
	}
	if last := before[len(before)-1].Seq; next <= last+2 {
		w.t.Errorf("the stream ends with event %d, want more than a full stop behind %d", next-1, last)
	}
}

// erased reads the control stream.
func (w *world) erased() presence.SeqSet {
	w.t.Helper()
	ctx := context.Background()
	s, err := w.js.Stream(ctx, stream.ControlStreamName(worldApp))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	var set presence.SeqSet
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(ctx, seq)
		if err != nil {
			w.t.Fatal(err)
		}
		if m.Subject != presence.ControlSubject(worldApp, presence.ErasedWord) {
			continue
		}
		e, err := presence.ParseErased(m.Data)
		if err != nil {
			w.t.Fatal(err)
		}
		set = set.Union(e.Seqs)
	}
	return set
}

func seqOf(events []told, user string) int64 {
	return events[slices.IndexFunc(events, func(e told) bool { return e.User.ID == user })].Seq
}

func equal(a, b map[string][3]int) bool {
	if len(a) != len(b) {
		return false
	}
	for place, n := range a {
		if b[place] != n {
			return false
		}
	}
	return true
}
