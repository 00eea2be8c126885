package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/ledger"
	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/past"
	"github.com/zim-presence/poller/migrations"
	"github.com/zim-presence/poller/presence"
)

// scribe writes an app's past through the real lease, at times of its own.
type scribe struct {
	t     testing.TB
	pool  *pgxpool.Pool
	app   uint32
	lease *ledger.Lease
	users []presence.User
	seqs  map[uint32]int64 // of each user's newest event
	now   *past.State
	seq   int64
	sweep int64
}

// newScribe takes the lease of an app of some users on a migrated database.
func newScribe(t testing.TB, pool *pgxpool.Pool, app uint32, ids ...string) *scribe {
	t.Helper()
	l := ledger.New(pool, app, zerolog.Nop())
	if err := l.EnsurePartitions(t.Context()); err != nil {
		t.Fatal(err)
	}
	lease, err := l.TryAcquire(t.Context(), ledger.Terms{Owner: "scribe", TTL: time.Minute, Window: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	s := &scribe{t: t, pool: pool, app: app, lease: lease, seqs: map[uint32]int64{}, now: past.New()}
	states, err := lease.Enroll(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range states {
		s.users = append(s.users, state.User)
	}
	return s
}

func (s *scribe) release() {
	if err := s.lease.Release(s.t.Context(), time.Time{}); err != nil {
		s.t.Error(err)
	}
}

// sees commits that users were seen in a status, or are gone, as far as that is a change.
func (s *scribe) sees(at time.Time, status presence.Status, users ...presence.User) {
	s.t.Helper()
	s.tells(at, time.Time{}, status, users...)
}

// tells commits what was seen at a time, and told when it was confirmed; zero for at once. Who is gone without that has
// left the watchlist, and with it has gone stale.
func (s *scribe) tells(at, confirmed time.Time, status presence.Status, users ...presence.User) {
	s.t.Helper()
	var c presence.Changes
	for _, u := range users {
		from := s.now.Status(u.No)
		kind, changed := presence.KindOf(from, status)
		if !changed {
			continue
		}
		s.seq++
		t := presence.Transition{
			Seq: s.seq, PrevSeq: s.seqs[u.No], User: u, Kind: kind, From: from, To: status, ObservedAt: at, ConfirmedAt: confirmed, Sweep: s.sweep + 1,
		}
		stale := kind == presence.KindRemoved && !confirmed.IsZero()
		if stale {
			t.Kind, t.ObservedAt, t.ConfirmedAt = presence.KindStale, confirmed, time.Time{}
		}
		s.seqs[u.No] = s.seq
		s.now.Apply(&t)
		c.Transitions = append(c.Transitions, t)
		c.States = append(c.States, presence.State{
			User: u, Watched: stale || status != presence.Unknown, Stale: stale, Status: status, Since: t.ObservedAt, ObservedAt: t.KnownAt(), AskedAt: at, LastSeq: s.seq,
		})
	}
	if err := s.lease.Commit(s.t.Context(), c, s.sweep+1); err != nil {
		s.t.Fatal(err)
	}
}

// tellsAgain commits a user's status as a baseline, as is done for readers who have lost it.
func (s *scribe) tellsAgain(at time.Time, u presence.User) {
	s.t.Helper()
	s.seq++
	t := presence.Transition{
		Seq: s.seq, PrevSeq: s.seqs[u.No], User: u, Kind: presence.KindBaseline, From: presence.Unknown, To: s.now.Status(u.No), ObservedAt: at, Sweep: s.sweep + 1,
	}
	s.seqs[u.No] = s.seq
	state := presence.State{User: u, Watched: true, Status: t.To, Since: at, ObservedAt: at, AskedAt: at, LastSeq: s.seq}
	if err := s.lease.Commit(s.t.Context(), presence.Changes{Transitions: []presence.Transition{t}, States: []presence.State{state}}, s.sweep+1); err != nil {
		s.t.Fatal(err)
	}
}

// sweeps ends a sweep.
func (s *scribe) sweeps(finished time.Time) presence.Snapshot {
	s.t.Helper()
	s.sweep++
	online, known, err := s.now.Bitmaps()
	if err != nil {
		s.t.Fatal(err)
	}
	snapshot := presence.Snapshot{Sweep: s.sweep, Started: finished.Add(-time.Second), Finished: finished, Seq: s.seq, Online: online, Known: known}
	if err := s.lease.SaveSnapshot(s.t.Context(), snapshot); err != nil {
		s.t.Fatal(err)
	}
	return snapshot
}

// forgets does to a user what an erasure does.
func (s *scribe) forgets(u presence.User) {
	s.t.Helper()
	s.exec(`delete from user_states where app_id = $1 and user_no = $2`, s.app, u.No)
	s.exec(`
		update transitions
		   set kind = 'erased', user_no = 0, user_id = '', from_status = 'unknown', to_status = 'unknown', detail = '', after = null,
		       observed_at = recorded_at, prev_seq = 0
		 where app_id = $1 and user_no = $2`, s.app, u.No)
}

func (s *scribe) exec(sql string, args ...any) {
	s.t.Helper()
	if _, err := s.pool.Exec(s.t.Context(), sql, args...); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

func migrated(t testing.TB) (*pgxpool.Pool, string) {
	t.Helper()
	dsn := localtest.Postgres(t)
	if _, err := migrations.Up(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool, dsn
}

// stateRun runs poller state as main would.
func stateRun(t testing.TB, dsn string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, said bytes.Buffer
	environ := []string{"POLLER_DATABASE_URL=" + dsn, "POLLER_ZIM_APP_ID=7"}
	code = execute(t.Context(), append([]string{"state"}, args...), environ, &out, &said)
	return out.String(), said.String(), code
}

// The past of this test, of app 7, by minutes after twelve:
//
//	:01 a online, b offline   :02 sweep 1   :03 a offline   :05 b online, c offline   :06 sweep 2
//	:07 a online              :08 sweep 3   :09 c gone (sweep 4 under way)
func TestStateCommand(t *testing.T) {
	t.Parallel()
	pool, dsn := migrated(t)
	noon := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	minute := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	at := func(n int) string { return minute(n).Format("2006-01-02T15:04") }
	want := func(name string, code int, stdout string, says []string, args ...string) {
		t.Helper()
		out, said, got := stateRun(t, dsn, args...)
		if got != code || out != stdout {
			t.Errorf("%s: poller state %q: exit code %d, want %d; (-want +got):\n%s\n%s", name, args, got, code, cmp.Diff(stdout, out), said)
		}
		for _, words := range says {
			if !strings.Contains(said, words) {
				t.Errorf("%s: poller state %q does not say %q: %s", name, args, words, said)
			}
		}
	}
	want("nothing recorded", 1, "", []string{"nothing is recorded"})
	s := newScribe(t, pool, 7, "a", `b,"`, "c")
	a, b, c := s.users[0], s.users[1], s.users[2]
	s.sees(minute(1), presence.Online, a)
	s.sees(minute(1), presence.Offline, b)
	want("no sweep at its end", 0, "user_id,status\na,online\n\"b,\"\"\",offline\n", []string{"no complete sweep", "the beginning and 2 events"})
	s.sweeps(minute(2))
	s.sees(minute(3), presence.Offline, a)
	s.sees(minute(5), presence.Online, b)
	s.sees(minute(5), presence.Offline, c)
	s.sweeps(minute(6))
	s.sees(minute(7), presence.Online, a)
	s.sweeps(minute(8))
	s.sees(minute(9), presence.Unknown, c)

	header, early := "user_id,status\n", []string{"the earliest possible time is 2026-01-05T12:01:00Z"}
	want("before anything", 1, "", early, "--at", at(0))
	want("a moment before anything", 1, "", early, "--at", "2026-01-05T12:00:59.999999Z")
	want("before the first snapshot", 0, header+"a,online\n\"b,\"\"\",offline\n", []string{"the beginning and 2 events", "no complete sweep had ended by then"}, "--at", at(1))
	want("at a snapshot", 0, header+"a,online\n\"b,\"\"\",offline\n", []string{"snapshot of sweep 1, finished 2026-01-05T12:02:00Z, and 0 events"}, "--at", at(2))
	want("between", 0, header+"a,offline\n\"b,\"\"\",offline\n", []string{"sweep 1", "1 event behind it"}, "--at", at(4))
	want("by zone", 0, header+"a,offline\n\"b,\"\"\",offline\n", nil, "--at", "2026-01-05T13:04:00+01:00")
	want("online", 0, header+"\"b,\"\"\",online\n", nil, "--at", at(6), "--online")
	want("now", 0, header+"a,online\n\"b,\"\"\",online\n", []string{"sweep 3", "1 event behind it", "newer than the last sweep: changes since then may be missing"})
	if _, said, _ := stateRun(t, dsn, "--at", at(10)); strings.Contains(said, "missing") {
		t.Errorf("two minutes behind the last sweep: %s", said)
	}
	want("count", 0, "online 1\noffline 2\n", nil, "--at", at(6), "-o", "count")
	want("count online", 0, "online 1\n", nil, "--at", at(6), "-o", "count", "--online")
	want("users", 0, "user_id,status,since,seq\nc,offline,2026-01-05T12:05:00Z,5\nnobody,unknown,,\na,offline,2026-01-05T12:03:00Z,3\n",
		[]string{"never watched, or erased: nobody"}, "--at", at(5), "--user", "c", "--user=nobody", "--user", "a", "--user", "c")
	want("a user as in the snapshot", 0, "user_id,status,since,seq\na,offline,2026-01-05T12:03:00Z,3\n", nil, "--at", at(6), "--user", "a")
	want("a user who is gone", 0, "user_id,status,since,seq\nc,unknown,2026-01-05T12:09:00Z,7\n", nil, "--user", "c")
	want("users counted", 0, "online 1\noffline 0\nunknown 1\n", nil, "-o", "count", "--user", "c", "--user", "a")
	want("the future", 2, "", []string{"in the future"}, "--at", "2999-01-01")
	want("no time", 2, "", []string{"must be a time"}, "--at", "noon")
	want("another app", 2, "", []string{"not configured"}, "--app", "8")
	want("no user", 2, "", []string{"--user"}, "--user", "")
	want("several users at once", 2, "", []string{`"a,c" is no user id; give --user once for each`}, "--user", "a,c")
	want("no id", 2, "", []string{`"a*" is no user id: `, `'*'`}, "--user", "a*")
	want("a time to come", 2, "", []string{"must be a time", "(poller state --help tells more)"}, "--at=+30s")

	stateObjects(t, dsn, minute)

	// What was told of c between :06 and :08 is only in the ledger, and that lacks its first four events now.
	s.exec(`delete from transitions where app_id = 7 and seq <= 4`)
	want("a hole at the beginning", 1, "", []string{"events 1 to 2 are not in the ledger"}, "--at", at(1))
	want("a hole", 1, "", []string{"events 3 to 4 are not in the ledger"}, "--at", at(4))
	s.exec(`insert into gaps (app_id, first_seq, last_seq) values (7, 1, 2), (7, 3, 4)`)
	want("a gap that was accepted", 0, header+"a,online\n\"b,\"\"\",offline\nc,offline\n", []string{"2 events behind it; whom"}, "--at", at(5))
	s.exec(`delete from gaps`)
	s.exec(`update apps set pruned_seq = 4 where app_id = 7`)
	want("before what is kept", 1, "", []string{"the earliest possible time is 2026-01-05T12:02:00Z"}, "--at", at(1))
	want("what is kept has no events", 0, header+"a,online\n\"b,\"\"\",offline\n", []string{"state as of 2026-01-05T12:02:00Z", "0 events"}, "--at", at(5))
	want("behind what is dropped", 0, header+"a,online\n\"b,\"\"\",online\nc,offline\n", []string{"sweep 2", "1 event "}, "--at", at(7))

	want("brought by what is dropped", 0, "user_id,status,since,seq\na,offline,,\n", nil, "--at", at(6), "--user", "a")
	want("brought by what is kept", 0, "user_id,status,since,seq\nc,offline,2026-01-05T12:05:00Z,5\n", nil, "--at", at(8), "--user", "c")

	s.forgets(b)
	want("erased", 0, header+"a,online\nc,offline\n", []string{"erased since, and without a name: 1"}, "--at", at(8))
	want("erased, counted", 0, "online 1\noffline 1\nerased 1\n", nil, "--at", at(8), "-o", "count")
	s.tellsAgain(minute(11), a)
	want("told again", 0, "user_id,status,since,seq\na,online,2026-01-05T12:07:00Z,6\n", nil, "--user", "a")
	s.exec(`delete from transitions where app_id = 7 and seq <= 6`)
	s.exec(`update apps set pruned_seq = 6 where app_id = 7`)
	want("told again since what is kept", 0, "user_id,status,since,seq\na,online,,\n", nil, "--user", "a")
	s.forgets(c)
	want("erased, by name", 0, "user_id,status,since,seq\nc,unknown,,\n", []string{"never watched, or erased: c"}, "--user", "c")
	s.exec(`update snapshots set online = 'x' where sweep = 3`)
	want("a damaged snapshot", 1, "", []string{"snapshot of sweep 3: who was online"})
	s.release()
	s.exec(`delete from poller_migrations where version_id > 1`)
	want("an old schema", 1, "", []string{"poller migrate"})
}

// stateObjects is TestStateCommand's -o json.
func stateObjects(t *testing.T, dsn string, minute func(int) time.Time) {
	type user struct {
		UserID string     `json:"user_id"`
		Status string     `json:"status"`
		Since  *time.Time `json:"since"`
		Seq    int64      `json:"seq"`
	}
	type object struct {
		stateObject
		Users []user `json:"users"`
	}
	moment := func(n int) *time.Time { m := minute(n); return &m }
	none, one, two := 0, 1, 2
	for _, c := range []struct {
		at   int
		args []string
		want object
	}{
		{1, nil, object{
			stateObject{AppID: 7, At: minute(1), Events: 2, stateCounts: stateCounts{Online: 1, Offline: &one}},
			[]user{{UserID: "a", Status: "online"}, {UserID: `b,"`, Status: "offline"}},
		}},
		{5, []string{"--user", "a", "--user", "c"}, object{
			stateObject{
				AppID: 7, At: minute(5), AsOf: moment(5), Events: 3, stateCounts: stateCounts{Offline: &two, Unknown: &none},
				Snapshot: &stateSweep{1, minute(2).Add(-time.Second), minute(2), 2},
			},
			[]user{{UserID: "a", Status: "offline", Since: moment(3), Seq: 3}, {UserID: "c", Status: "offline", Since: moment(5), Seq: 5}},
		}},
		{10, []string{"--user", "nobody", "--online"}, object{
			stateObject{AppID: 7, At: minute(10), AsOf: moment(8), Events: 1, Snapshot: &stateSweep{3, minute(8).Add(-time.Second), minute(8), 6}},
			[]user{},
		}},
	} {
		out, said, code := stateRun(t, dsn, append(c.args, "-o", "json", "--at", minute(c.at).Format(time.RFC3339))...)
		var got object
		if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || said != "" {
			t.Errorf("json at :%02d: exit code %d, %v, %s", c.at, code, err, said)
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(object{}, stateObject{})); diff != "" {
			t.Errorf("json at :%02d (-want +got):\n%s", c.at, diff)
		}
	}
}

func TestStateHelp(t *testing.T) {
	out, _, code := stateRun(t, "", "--help")
	if code != 0 || !strings.Contains(out, "A user is told as last seen at or before the time.") {
		t.Errorf("exit code %d: %s", code, out)
	}
}
