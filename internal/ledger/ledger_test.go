package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/migrations"
	"github.com/zim-presence/poller/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(localtest.Main(m)) }

const app = 4_000_000_001 // over 2^31, as an AppID may be

var terms = Terms{Owner: "test", TTL: 10 * time.Second, Window: 1010 * time.Millisecond}

// open returns the ledger of app on a fresh, migrated database.
func open(t testing.TB) (*Ledger, *pgxpool.Pool) {
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
	l := New(pool, app, zerolog.Nop())
	if err := l.EnsurePartitions(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l, pool
}

// win takes the lease for as long as the test lasts.
func win(t testing.TB, l *Ledger) *Lease {
	t.Helper()
	lease, err := l.TryAcquire(t.Context(), terms)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lease.Release(context.Background(), time.Time{}); err != nil {
			t.Error(err)
		}
	})
	return lease
}

func execute(t testing.TB, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func value[T any](t testing.TB, pool *pgxpool.Pool, sql string, args ...any) (v T) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func enroll(t testing.TB, lease *Lease, ids ...string) map[string]presence.State {
	t.Helper()
	states, err := lease.Enroll(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]presence.State{}
	for _, s := range states {
		byID[s.User.ID] = s
	}
	return byID
}

var morning = time.Date(2026, 11, 23, 9, 0, 0, 123456000, time.UTC)

// baseline is the first event of a user, with the state that it leads to.
func baseline(seq int64, u presence.User, status presence.Status, at time.Time) presence.Changes {
	return presence.Changes{
		Transitions: []presence.Transition{{
			Seq: seq, User: u, Kind: presence.KindBaseline, From: presence.Unknown, To: status, ObservedAt: at, Sweep: 1,
		}},
		States: []presence.State{{
			User: u, Watched: true, Status: status, Since: at, ObservedAt: at, AskedAt: at.Add(-time.Millisecond), LastSeq: seq,
		}},
	}
}

func commit(t testing.TB, lease *Lease, c presence.Changes, sweep int64) {
	t.Helper()
	if err := lease.Commit(t.Context(), c, sweep); err != nil {
		t.Fatal(err)
	}
}

func events(t testing.TB, l *Ledger, c presence.Cursor, limit int) []presence.Event {
	t.Helper()
	got, err := l.After(t.Context(), c, limit)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestCommitIsReadBack(t *testing.T) {
	l, pool := open(t)
	lease := win(t, l)
	u := enroll(t, lease, "a.b", "x>y ü")["x>y ü"].User
	commit(t, lease, baseline(1, u, presence.Online, morning), 1)
	later := morning.Add(time.Minute)
	second := presence.Changes{
		Transitions: []presence.Transition{{
			Seq: 2, PrevSeq: 1, User: u, Kind: presence.KindOffline, From: presence.Online, To: presence.Offline,
			Detail: presence.Timeout, After: morning, ObservedAt: later, Sweep: 2,
		}},
		States: []presence.State{{
			User: u, Watched: true, Status: presence.Offline, Detail: presence.Timeout, Since: later, ObservedAt: later,
			AskedAt: later, LastSeq: 2,
		}},
	}
	commit(t, lease, second, 2)

	log := value[string](t, pool, `select log from apps where app_id = $1`, app)
	got := events(t, l, presence.Cursor{}, 10)
	want := []presence.Event{
		{AppID: app, Log: log, Encoding: presence.EncodingV1, Transition: baseline(1, u, presence.Online, morning).Transitions[0]},
		{AppID: app, Log: log, Encoding: presence.EncodingV1, Transition: second.Transitions[0]},
	}
	for i := range got {
		if got[i].RecordedAt.IsZero() || i > 0 && got[i].RecordedAt.Before(got[i-1].RecordedAt) {
			t.Errorf("event %d recorded at %s, the one before at %s", i, got[i].RecordedAt, got[max(0, i-1)].RecordedAt)
		}
		want[i].RecordedAt = got[i].RecordedAt
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
	behind := presence.Cursor{Seq: 1, RecordedAt: got[0].RecordedAt}
	if diff := cmp.Diff(want[1:], events(t, l, behind, 10)); diff != "" {
		t.Errorf("behind event 1 (-want +got):\n%s", diff)
	}
	if one, found, err := l.Event(t.Context(), 2); err != nil || !found || cmp.Diff(want[1], one) != "" {
		t.Errorf("event 2 = %+v, %t, %v", one, found, err)
	}
	if _, found, err := l.Event(t.Context(), 3); err != nil || found {
		t.Errorf("event 3: found %t, %v; want none", found, err)
	}
	if newest, err := l.Newest(t.Context()); err != nil || newest != 2 {
		t.Errorf("newest = %d, %v; want 2", newest, err)
	}
}

func TestDetailAloneKeepsSince(t *testing.T) {
	l, pool := open(t)
	lease := win(t, l)
	u := enroll(t, lease, "u")["u"].User
	commit(t, lease, baseline(1, u, presence.Offline, morning), 1)
	later := morning.Add(time.Hour)
	commit(t, lease, presence.Changes{States: []presence.State{{
		User: u, Watched: true, Status: presence.Offline, Detail: presence.NoSession, ObservedAt: later, AskedAt: later, LastSeq: 1,
	}}}, 2)
	var status, detail string
	var since, observed time.Time
	err := pool.QueryRow(t.Context(), `select status, detail, since, observed_at from presence where app_id = $1 and user_id = 'u'`, app).
		Scan(&status, &detail, &since, &observed)
	if err != nil || status != "offline" || detail != "no_session" || !since.Equal(morning) || !observed.Equal(later) {
		t.Errorf("presence = %s %s since %s observed %s, %v", status, detail, since, observed, err)
	}
	if n := len(events(t, l, presence.Cursor{}, 10)); n != 1 {
		t.Errorf("%d events, want 1: a change of detail is none", n)
	}
}

func TestEnrollNumbersOnceAndForEver(t *testing.T) {
	l, _ := open(t)
	lease := win(t, l)
	first := enroll(t, lease, "a", "b")
	if first["a"].User.No != 1 || first["b"].User.No != 2 {
		t.Errorf("numbers %d and %d, want 1 and 2", first["a"].User.No, first["b"].User.No)
	}
	commit(t, lease, baseline(1, first["a"].User, presence.Online, morning), 1)
	commit(t, lease, presence.Changes{
		Transitions: []presence.Transition{{
			Seq: 2, PrevSeq: 1, User: first["a"].User, Kind: presence.KindRemoved, From: presence.Online, ObservedAt: morning, Sweep: 2,
		}},
		States: []presence.State{{User: first["a"].User, Since: morning, LastSeq: 2}},
	}, 2)
	var loaded []string
	load := func() {
		loaded = nil
		err := lease.Load(t.Context(), func(u Loaded) error {
			loaded = append(loaded, u.State.User.ID)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(loaded)
	}
	if load(); !slices.Equal(loaded, []string{"b"}) {
		t.Errorf("watched after the removal: %v, want b", loaded)
	}
	again := enroll(t, lease, "c", "a", "b")
	want := map[string]presence.State{
		"a": {User: presence.User{No: 1, ID: "a"}, Watched: true, Since: morning, ObservedAt: morning, LastSeq: 2},
		"b": {User: presence.User{No: 2, ID: "b"}, Watched: true},
		"c": {User: presence.User{No: 3, ID: "c"}, Watched: true},
	}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("enrolled again (-want +got):\n%s", diff)
	}
	if load(); !slices.Equal(loaded, []string{"a", "b", "c"}) {
		t.Errorf("watched at the end: %v, want a, b, c", loaded)
	}
}

func TestNothingIsWrittenUnderAnOldEpoch(t *testing.T) {
	l, pool := open(t)
	old := win(t, l)
	u := enroll(t, old, "u")["u"].User
	commit(t, old, baseline(1, u, presence.Online, morning), 1)
	execute(t, pool, `update apps set epoch = epoch + 1 where app_id = $1`, app) // another wins

	before := value[string](t, pool, `select (a.*)::text || (select count(*) from transitions) || (select (u.*)::text from user_states u) from apps a`)
	for name, write := range map[string]func() error{
		"commit": func() error { return old.Commit(t.Context(), baseline(2, u, presence.Offline, morning), 2) },
		"enroll": func() error { _, err := old.Enroll(t.Context(), []string{"u", "v"}); return err },
		"snapshot": func() error {
			return old.SaveSnapshot(t.Context(), presence.Snapshot{Sweep: 1, Started: morning, Finished: morning, Online: []byte{}, Known: []byte{}})
		},
	} {
		if err := write(); !errors.Is(err, ErrFenced) {
			t.Errorf("%s under an old epoch: %v, want ErrFenced", name, err)
		}
	}
	after := value[string](t, pool, `select (a.*)::text || (select count(*) from transitions) || (select (u.*)::text from user_states u) from apps a`)
	if before != after {
		t.Errorf("an old epoch wrote:\nbefore %s\nafter  %s", before, after)
	}
	if n := value[int](t, pool, `select count(*) from snapshots`); n != 0 {
		t.Errorf("%d snapshots, want 0", n)
	}
}

func TestCommitThatDoesNotFollowIsRefused(t *testing.T) {
	l, pool := open(t)
	lease := win(t, l)
	u := enroll(t, lease, "u")["u"].User
	execute(t, pool, `update apps set last_seq = 7 where app_id = $1`, app)
	if err := lease.Commit(t.Context(), baseline(1, u, presence.Online, morning), 1); !errors.Is(err, ErrFenced) {
		t.Errorf("commit of event 1 behind 7: %v, want ErrFenced", err)
	}
}

func TestCommitMakesTheMissingPartition(t *testing.T) {
	l, pool := open(t)
	lease := win(t, l)
	u := enroll(t, lease, "u")["u"].User
	names := value[[]string](t, pool, `select array_agg(inhrelid::regclass::text) from pg_inherits where inhparent = 'transitions'::regclass`)
	if len(names) != partitionsAhead+1 {
		t.Errorf("%d partitions, want %d", len(names), partitionsAhead+1)
	}
	for _, name := range names {
		execute(t, pool, `drop table `+name)
	}
	commit(t, lease, baseline(1, u, presence.Online, morning), 1)
	if n := len(events(t, l, presence.Cursor{}, 10)); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

func TestPartitionsAreMadeByManyAtOnce(t *testing.T) {
	l, pool := open(t)
	execute(t, pool, `do $$ declare p regclass; begin
		for p in select inhrelid::regclass from pg_inherits where inhparent = 'transitions'::regclass loop execute 'drop table ' || p; end loop; end $$`)
	errs := make(chan error)
	for range 4 {
		go func() { errs <- l.EnsurePartitions(t.Context()) }()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := value[int](t, pool, `select count(*) from pg_inherits where inhparent = 'transitions'::regclass`); n != partitionsAhead+1 {
		t.Errorf("%d partitions, want %d", n, partitionsAhead+1)
	}
}

// The bound of an unchanged user is the start of the newest complete sweep that
// saw it; the view says the same as the loader.
func TestSightings(t *testing.T) {
	l, pool := open(t)
	lease := win(t, l)
	minute := func(n int) time.Time { return morning.Add(time.Duration(n) * time.Minute) }
	users := enroll(t, lease, "seen", "missed once", "missed always", "changed lately", "never answered", "removed")
	for i, id := range []string{"seen", "missed once", "missed always", "changed lately", "removed"} {
		at := minute(0)
		if id == "changed lately" {
			at = minute(9)
		}
		commit(t, lease, baseline(int64(i+1), users[id].User, presence.Online, at), 1)
	}
	commit(t, lease, presence.Changes{States: []presence.State{{User: users["removed"].User, LastSeq: 5}}}, 1)
	for sweep := int64(1); sweep <= 3; sweep++ {
		missed := []uint32{users["missed always"].User.No}
		if sweep == 3 {
			missed = append(missed, users["missed once"].User.No)
		}
		slices.Sort(missed)
		err := lease.SaveSnapshot(t.Context(), presence.Snapshot{
			Sweep: sweep, Started: minute(int(sweep)), Finished: minute(int(sweep)).Add(time.Second), Seq: 5, Missed: missed,
			Online: []byte{}, Known: []byte{}, Watched: 4, Seen: 3,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	asked := func(n int) time.Time { return minute(n).Add(-time.Millisecond) }
	want := map[string]time.Time{
		"seen": minute(3), "missed once": minute(2), "missed always": asked(0), "changed lately": asked(9), "never answered": {},
	}
	got := map[string]time.Time{}
	err := lease.Load(t.Context(), func(u Loaded) error {
		got[u.State.User.ID] = u.Seen
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
	for id, bound := range want {
		shown := value[*time.Time](t, pool, `select observed_at from presence where user_id = $1`, id)
		switch {
		case bound.IsZero():
			if shown != nil {
				t.Errorf("presence shows %s at %s, want null", id, shown)
			}
		case !shown.Equal(bound) && !shown.Equal(bound.Add(time.Millisecond)): // of the row itself, the moment it was read
			t.Errorf("presence shows %s at %s, want %s", id, shown, bound)
		}
	}
}

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		numbers []uint32
		want    string
	}{
		{nil, "{}"}, {[]uint32{5}, "{[5,6)}"}, {[]uint32{1, 2, 3, 7, 9, 10}, "{[1,4),[7,8),[9,11)}"},
	} {
		_, pool := open(t)
		if got := value[string](t, pool, `select $1::int4multirange::text`, ranges(c.numbers)); got != c.want {
			t.Errorf("ranges(%v) = %s, want %s", c.numbers, got, c.want)
		}
		if diff := cmp.Diff(append([]uint32{}, c.numbers...), bitmap(ranges(c.numbers)).ToArray()); diff != "" {
			t.Errorf("bitmap(ranges(%v)) (-want +got):\n%s", c.numbers, diff)
		}
	}
}

func TestCursorIsKept(t *testing.T) {
	l, _ := open(t)
	if got, err := l.Cursor(t.Context()); err != nil || got != (presence.Cursor{}) {
		t.Errorf("cursor of a new app = %+v, %v; want zero", got, err)
	}
	for seq := int64(1); seq <= 2; seq++ {
		want := presence.Cursor{Seq: seq, StreamSeq: 1 << 40, StreamCreated: morning, RecordedAt: morning}
		if err := l.SaveCursor(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if got, err := l.Cursor(t.Context()); err != nil || got != want {
			t.Errorf("cursor = %+v, %v; want %+v", got, err, want)
		}
	}
}

// A sweep without changes writes one row, whatever the number of users.
func TestUnchangedSweepWritesOneRow(t *testing.T) {
	l, pool := open(t)
	lease := win(t, l)
	enroll(t, lease, "a", "b")
	writes := func() int {
		pool.Reset() // a session that ends brings its counts up to date
		return value[int](t, pool, `select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) from pg_stat_user_tables where relname <> 'apps'`)
	}
	deadline := time.Now().Add(time.Minute)
	for !value[bool](t, pool, `
		select (select n_tup_ins from pg_stat_user_tables where relname = 'user_states') = (select count(*) from user_states)
		   and (select n_tup_ins from pg_stat_user_tables where relname = 'poller_migrations') = (select count(*) from poller_migrations)`) {
		if writes(); time.Now().After(deadline) {
			t.Fatal("what was written before is not counted")
		}
	}
	before := writes()
	commit(t, lease, presence.Changes{}, 1)
	if err := lease.SaveSnapshot(t.Context(), presence.Snapshot{Sweep: 1, Started: morning, Finished: morning, Online: []byte{}, Known: []byte{}}); err != nil {
		t.Fatal(err)
	}
	for writes() == before && time.Now().Before(deadline) {
		continue
	}
	if got := writes() - before; got != 1 {
		t.Errorf("%d rows written, want 1", got)
	}
	if n := value[int](t, pool, `select count(*) from snapshots`); n != 1 {
		t.Errorf("%d snapshots, want 1", n)
	}
}

// BenchmarkCommit prints how many changed users a second one commit after
// another writes, at several sizes.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{1, 100, 1000, 5000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			l, _ := open(b)
			lease := win(b, l)
			const users = 100_000
			var all []presence.State
			for n := 0; n < users; n += 5000 {
				ids := make([]string, 5000)
				for i := range ids {
					ids[i] = fmt.Sprintf("user-%06d", n+i)
				}
				states, err := lease.Enroll(b.Context(), ids)
				if err != nil {
					b.Fatal(err)
				}
				all = append(all, states...)
			}
			seq, written := int64(0), 0
			for b.Loop() {
				var c presence.Changes
				for range size {
					seq++
					one := baseline(seq, all[(written*7919)%users].User, presence.Online, morning)
					c.Transitions, c.States = append(c.Transitions, one.Transitions...), append(c.States, one.States...)
					written++
				}
				if err := lease.Commit(b.Context(), c, 1); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(written)/b.Elapsed().Seconds(), "users/s")
		})
	}
}
