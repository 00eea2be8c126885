package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/stream"
	"github.com/zim-presence/poller/presence"
)

var replayMonday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// recordDays writes a ledger by hand: so many events of ten users u.1 to u.10 in turn on each of three days, an hour
// from the first to the last of a day, with a snapshot at the end of each. The first event of each user is a baseline.
func (w *world) recordDays(each int) {
	for day := range 3 {
		from := replayMonday.AddDate(0, 0, day)
		w.exec(fmt.Sprintf(`create table transitions_%s partition of transitions for values from ('%s') to ('%s')`,
			from.Format("20060102"), from.Format(time.RFC3339), from.AddDate(0, 0, 1).Format(time.RFC3339)))
	}
	w.exec(`insert into apps (app_id, log, last_seq, last_user_no) values ($1, 'abcdef01', $2, 10)`, worldApp, 3*each)
	w.exec(`insert into relay_cursors (app_id, told_seq, stream_seq, stream_created, recorded_at) values ($1, $2, $2, $3, $3)`, worldApp, 3*each, replayMonday)
	w.exec(`insert into user_states (app_id, user_no, user_id, status) select $1, n, 'u.' || n, 'online' from generate_series(1, 10) n`, worldApp)
	w.exec(`
		insert into transitions (app_id, seq, user_no, user_id, kind, from_status, to_status, detail, after, observed_at, prev_seq,
		                         sweep, log, encoding, recorded_at)
		select $1, n, 1 + (n - 1) % 10, 'u.' || 1 + (n - 1) % 10, case when n <= 10 then 'baseline' else w end, case when n <= 10 then 'unknown' else v end, w,
		       '', null, at, greatest(0, n - 10), 1 + (n - 1) / $2::int, 'abcdef01', 1, at
		  from (select n, $3::timestamptz + (n - 1) / $2::int * interval '1 day' + (n - 1) % $2::int * interval '1 hour' / $2::int as at,
		               case (n - 1) / 10 % 2 when 0 then 'online' else 'offline' end as w,
		               case (n - 1) / 10 % 2 when 0 then 'offline' else 'online' end as v
		          from generate_series(1, 3 * $2::int) n) x`, worldApp, each, replayMonday)
}

// replays runs poller replay in this process and returns what it printed.
func (w *world) replays(code int, args ...string) (out string) {
	w.t.Helper()
	var stdout bytes.Buffer
	stderr := new(sharedLog) // connections log while they close
	if got := execute(w.t.Context(), append([]string{"replay"}, args...), w.env, &stdout, stderr); got != code {
		w.t.Fatalf("poller replay %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, stdout.String(), stderr.String())
	}
	return stdout.String() + stderr.String()
}

// replayed returns the messages of a replay's stream.
func (w *world) replayed(name string) (all []*jetstream.RawStreamMsg) {
	w.t.Helper()
	s, err := w.js.Stream(w.t.Context(), stream.ReplayStreamName(worldApp, name))
	if err != nil {
		w.t.Fatal(err)
	}
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		msg, err := s.GetMsg(w.t.Context(), seq)
		if err != nil {
			w.t.Fatal(err)
		}
		if of, position, ok := presence.ReplayOf(msg.Header.Get); !ok || of != name || position != int64(seq) {
			w.t.Fatalf("message %d says that it is number %d of %q", seq, position, of)
		}
		all = append(all, msg)
	}
	return all
}

// seqs returns the events that messages tell.
func seqs(t *testing.T, messages []*jetstream.RawStreamMsg) (seqs []int64) {
	t.Helper()
	for _, msg := range messages {
		e, err := presence.ParseEvent(msg.Data)
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, e.Seq)
	}
	return seqs
}

func TestReplayCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.recordDays(30)
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("u.3\r\n\nu.4\nnobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		want []int64 // first, last, and how many
	}{
		{"everything", nil, []int64{1, 90, 90}},
		{"by-seq", []string{"--from", "7", "--to", "8"}, []int64{7, 8, 2}},
		{"by-time", []string{"--from", "2026-03-03", "--to", "2026-03-04T00:00"}, []int64{31, 60, 30}},
		{"mixed", []string{"--from", "2026-03-03T00:30", "--to", "70"}, []int64{46, 70, 25}},
		{"one", []string{"--user", "u.3"}, []int64{3, 83, 9}},
		{"some", []string{"--users-file", users, "--user", "u.3", "--kind", "offline", "--kind", "baseline"}, []int64{3, 74, 10}},
	} {
		w.replays(0, append([]string{"--name", c.name}, c.args...)...)
		got := seqs(t, w.replayed(c.name))
		if n := int64(len(got)); n != c.want[2] || got[0] != c.want[0] || got[n-1] != c.want[1] {
			t.Errorf("%s: events %v, want %d from %d to %d", c.name, got, c.want[2], c.want[0], c.want[1])
		}
	}
	t.Run("dry run", w.inside((*world).replayDry))
	t.Run("again", w.inside((*world).replayAgain))
	t.Run("untold", w.inside((*world).replayUntold))
	t.Run("stopped", w.inside((*world).replayStopped))
	t.Run("usage", w.inside((*world).replayUsage))
	t.Run("core", w.inside((*world).replayCore))
	t.Run("pruned", w.inside((*world).replayPruned))
}

// inside is a subtest in this world.
func (w *world) inside(test func(*world, *testing.T)) func(*testing.T) {
	return func(t *testing.T) {
		within := *w
		within.t = t
		test(&within, t)
	}
}

func (w *world) replayDry(t *testing.T) {
	before := w.count(`select count(*) from replays`)
	out := w.replays(0, "--dry-run", "--to", "2026-03-04", "--user", "u.1", "--with-state", "--from", "11", "-o", "json")
	var got dryReport
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	want := dryReport{AppID: worldApp, First: 11, Last: 60, States: 1, Total: 6, Days: []dayCount{
		{"2026-03-02", "online", 1}, {"2026-03-02", "offline", 1}, {"2026-03-03", "online", 1}, {"2026-03-03", "offline", 2},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if out = w.replays(0, "--dry-run"); !strings.Contains(out, "2026-03-02  baseline  10\n") || !strings.Contains(out, "total                 90\n") {
		t.Errorf("everything:\n%s", out)
	}
	if after := w.count(`select count(*) from replays`); after != before {
		t.Errorf("a dry run has kept %d replays", after-before)
	}
}

func (w *world) replayAgain(t *testing.T) {
	if out := w.replays(0, "--name", "by-seq", "--from", "7", "--to", "8"); !strings.Contains(out, "2 messages told") || !strings.Contains(out, "ended") {
		t.Errorf("a replay that has ended says\n%s", out)
	}
	if out := w.replays(2, "--name", "by-seq", "--from", "7", "--to", "9"); !strings.Contains(out, "--from 7 --to 8") {
		t.Errorf("another choice: %s", out)
	}
	if out := w.replays(0, "list"); !strings.Contains(out, "by-seq") || !strings.Contains(out, "--user") && !strings.Contains(out, "1 users") {
		t.Errorf("list:\n%s", out)
	}
	w.replays(0, "drop", "by-seq")
	w.replays(2, "drop", "by-seq")
	w.replays(0, "--name", "by-seq", "--from", "7", "--to", "9", "-o", "json")
	if got := len(w.replayed("by-seq")); got != 3 {
		t.Errorf("%d messages under a name that was free again, want 3", got)
	}
	// A stream of that name that nobody remembers.
	w.exec(`delete from replays where name = 'by-seq'`)
	for range 2 { // however often it is tried
		if out := w.replays(1, "--name", "by-seq", "--from", "5", "--to", "20"); !strings.Contains(out, "stands already") {
			t.Errorf("a stream that stands: %s", out)
		}
	}
	w.replays(0, "drop", "by-seq")
}

func (w *world) replayUsage(t *testing.T) {
	for _, c := range []struct {
		args string
		says string
	}{
		{"", "--name is needed"}, {"--name a.b", "letters, digits"}, {"--name x --from 91", "the newest is 90"}, {"--name x --to 91", "the newest is 90"},
		{"--name x --from 9 --to 8", "nothing is between"}, {"--name x --from soon", "must be a time"}, {"--name x --from 0", "must be a time"},
		{"--name x --rate -1", "--rate"}, {"--name x --kind erased", "must be one of"}, {"--name x --snapshots --from 7", "has to be a time"},
		{"--name x --users-file /dev/null", "names nobody"}, {"--name x --max-age soon", "duration"}, {"drop a.b", "letters, digits"},
	} {
		if out := w.replays(2, strings.Fields(c.args)...); !strings.Contains(out, c.says) {
			t.Errorf("poller replay %s says\n%s, want %q", c.args, out, c.says)
		}
	}
}

func (w *world) replayCore(t *testing.T) {
	heard, err := w.js.Conn().SubscribeSync("presence.replay.loud.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.js.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	w.replays(0, "--name", "loud", "--core", "--from", "5", "--with-state", "--rate", "2000")
	for want := int64(1); want <= 4+86; want++ {
		msg, err := heard.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if _, position, _ := presence.ReplayOf(msg.Header.Get); position != want {
			t.Fatalf("position %d, want %d", position, want)
		}
		if s, err := presence.ParseStanding(msg.Data); want <= 4 && (err != nil || s.User.No != uint32(want) || s.Status != presence.Online || s.Seq != 4) {
			t.Errorf("message %d: %+v, %v", want, s, err)
		}
	}
	if _, err := w.js.Stream(t.Context(), stream.ReplayStreamName(worldApp, "loud")); err == nil {
		t.Error("it has a stream")
	}
}

// What was never told live may be dropped by an adoption, and its ids go to other events.
func (w *world) replayUntold(t *testing.T) {
	dry := func(args ...string) (r dryReport) {
		t.Helper()
		if err := json.Unmarshal([]byte(w.replays(0, append([]string{"--dry-run", "-o", "json"}, args...)...)), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	snapshot := func(sweep, seq int64) {
		w.exec(`insert into snapshots (app_id, sweep, started, finished, seq, watched, seen, missed_count, transitions, requests, online, known, missed)
			values ($1, $2, $3, $3, $4, 0, 0, 0, 0, 0, '\x3a30000000000000', '\x3a30000000000000', '{}')`,
			worldApp, sweep, replayMonday.Add(time.Duration(sweep)*24*time.Hour), seq)
	}
	snapshot(1, 30)
	snapshot(2, 60)
	snapshot(3, 90)
	w.exec(`update relay_cursors set told_seq = 70`)
	for _, c := range []struct {
		args string
		want [3]int64 // first, last, untold
	}{
		{"", [3]int64{1, 70, 20}}, {"--to 70", [3]int64{1, 70, 0}}, {"--to 2026-03-04T00:30", [3]int64{1, 70, 5}}, {"--to 2026-03-04", [3]int64{1, 60, 0}},
		{"--from 70", [3]int64{70, 70, 20}}, {"--from 2026-03-04T00:20", [3]int64{71, 70, 20}},
		{"--snapshots", [3]int64{31, 60, 20}}, {"--snapshots --to 2026-03-04T12:00", [3]int64{31, 60, 0}},
	} {
		if r := dry(strings.Fields(c.args)...); [3]int64{r.First, r.Last, r.Untold} != c.want {
			t.Errorf("%s: events %d to %d, and %d not told yet; want %v", c.args, r.First, r.Last, r.Untold, c.want)
		}
	}
	for _, args := range []string{"--to 71", "--from 71", "--from 2026-03-04T00:30", "--from 2026-03-05 --snapshots", "--from 2026-03-06"} {
		if out := w.replays(2, append([]string{"--name", "x"}, strings.Fields(args)...)...); !strings.Contains(out, "told live yet, the newest that has is 70") {
			t.Errorf("%s: %s", args, out)
		}
	}
	if out := w.replays(0, "--name", "told"); !strings.Contains(out, "70 messages told") || !strings.Contains(out, "when it was started: 20;") {
		t.Errorf("what is told:\n%s", out)
	}
	if got := len(w.replayed("told")); got != 70 {
		t.Errorf("%d events, want 70", got)
	}
	w.exec(`delete from relay_cursors`)
	if r := dry(); r.Total != 0 || r.Untold != 90 {
		t.Errorf("nothing is told: %d events, and %d are not told yet; want 0 and 90", r.Total, r.Untold)
	}
	w.exec(`insert into relay_cursors (app_id, told_seq, stream_seq, stream_created, recorded_at) values ($1, 90, 90, $2, $2)`, worldApp, replayMonday)
	w.exec(`delete from snapshots`)
}

// Who asks for JSON gets it of a replay that is stopped, too.
func (w *world) replayStopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var stdout, stderr bytes.Buffer
	code := make(chan int)
	go func() {
		code <- execute(ctx, []string{"replay", "--name", "stopped", "--rate", "0.1", "-o", "json"}, w.env, &stdout, &stderr)
	}()
	w.until("a message is told", func() bool {
		s, err := w.js.Stream(t.Context(), stream.ReplayStreamName(worldApp, "stopped"))
		return err == nil && s.CachedInfo().State.LastSeq > 0
	})
	stop()
	if got := <-code; got != 0 {
		t.Errorf("exit code %d, want 0\n%s", got, stderr.String())
	}
	var r replayReport
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil || r.Name != "stopped" || r.Told != 1 || r.Ended != nil || r.Holder != "" || !strings.Contains(stdout.String(), `"ended_at": null`) {
		t.Errorf("it prints %q: %v", stdout.String(), err)
	}
	w.replays(0, "drop", "stopped")
}

// What retention has dropped is refused, and never left out without a word.
func (w *world) replayPruned(t *testing.T) {
	w.exec(`drop table transitions_20260302`)
	w.exec(`update apps set pruned_seq = 30, pruned_until = $1`, replayMonday.AddDate(0, 0, 1))
	for _, args := range []string{"--from 30", "--from 2026-03-02T23:59:59Z", "--from 2026-03-02", "--from 30 --dry-run"} {
		out := w.replays(1, append([]string{"--name", "late"}, strings.Fields(args)...)...)
		if !strings.Contains(out, "dropped by retention") || !strings.Contains(out, "--from 2026-03-03T00:00:00Z") || !strings.Contains(out, "--from 31") {
			t.Errorf("%s: %s", args, out)
		}
	}
	if out := w.replays(1, "--name", "late", "--from", "31", "--with-state"); !strings.Contains(out, "the state behind event 30 cannot be told") {
		t.Errorf("with state: %s", out)
	}
	if n := w.count(`select count(*) from replays where name = 'late'`); n != 0 {
		t.Error("a replay that was refused is kept")
	}
	w.replays(0, "--name", "late", "--from", "2026-03-03")
	if got := len(w.replayed("late")); got != 60 {
		t.Errorf("%d events, want 60", got)
	}
	w.replays(0, "--name", "kept")
	if got := len(w.replayed("kept")); got != 60 {
		t.Errorf("%d events of what is kept, want 60", got)
	}
}

// Killed without a word, and asked to stop, it goes on where it was.
func TestReplayIsKilledAndGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.recordDays(2000)
	args := []string{"replay", "--name", "slow", "--rate", "1500", "--from", "11"}
	told := func(n uint64) func() bool {
		return func() bool {
			s, err := w.js.Stream(t.Context(), stream.ReplayStreamName(worldApp, "slow"))
			return err == nil && s.CachedInfo().State.LastSeq >= n
		}
	}
	p := w.start(args...)
	w.until("a part is told", told(500))
	p.kill()
	p = w.start(args...)
	w.until("more is told", told(2500))
	p.stop()
	if n := w.count(`select count(*) from replays where holder is null and ended_at is null and told >= 2500`); n != 1 {
		t.Error("the row does not say how far it was")
	}
	// Two at once: one of them tells.
	a := w.start(args[:3]...)
	_ = a.ended() // another choice: refused
	if a.code != 2 {
		t.Errorf("another choice: exit code %d, want 2", a.code)
	}
	fast := []string{"replay", "--name", "slow", "--from", "11"}
	one, two := w.start(fast...), w.start(fast...)
	if codes := one.ended() + two.ended(); codes > 1 {
		t.Errorf("two at once end with %d and %d, want one of them 0", one.code, two.code)
	}
	got := seqs(t, w.replayed("slow"))
	for i, seq := range got {
		if seq != int64(11+i) {
			t.Fatalf("message %d is event %d, want %d", i+1, seq, 11+i)
		}
	}
	if len(got) != 5990 {
		t.Errorf("%d events, want 5990", len(got))
	}
}

// Without a stream it is told by one process at a time, and goes on where its row says.
func TestReplayWithoutAStreamIsKilledAndGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.recordDays(1000)
	heard, err := w.js.Conn().SubscribeSync("presence.replay.loud.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.js.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	last, seen := int64(0), map[int64]bool{}
	hear := func() {
		msg, err := heard.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		_, last, _ = presence.ReplayOf(msg.Header.Get)
		seen[last] = true
	}
	args := []string{"--name", "loud", "--core", "--rate", "300"}
	p := w.start(append([]string{"replay"}, args...)...)
	for last < 700 {
		hear()
	}
	if out := w.replays(1, args...); !strings.Contains(out, "it is told by poller replay on") {
		t.Errorf("a second one beside it says\n%s", out)
	}
	p.kill()
	row := int64(w.count(`select told from replays`))
	w.replays(0, args[:3]...)
	for last < 3000 {
		hear()
	}
	if int64(len(seen)) != 3000 {
		t.Errorf("%d of 3000 messages were heard", len(seen))
	}
	if row < 1 {
		t.Error("the row had not moved")
	}
}
