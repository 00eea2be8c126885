package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/presence"
)

// three is a ledger of three users with three events each, 1, 4, 7 being the
// first's; all of them are watched.
func three(t testing.TB) (*Ledger, *pgxpool.Pool, *Lease, map[string]presence.State) {
	t.Helper()
	l, pool := open(t)
	lease := win(t, l)
	users := enroll(t, lease, "alice", "bob", "x'y\"z")
	execute(t, pool, `insert into watched_users (app_id, user_id) select $1, unnest($2::text[])`, int64(app), []string{"alice", "bob", "x'y\"z"})
	was := []presence.Status{presence.Unknown, presence.Online, presence.Offline, presence.Online}
	for round := range 3 {
		for i, id := range []string{"alice", "bob", "x'y\"z"} {
			seq := int64(3*round + i + 1)
			record(t, lease, told(seq, max(0, seq-3), users[id].User, was[round], was[round+1], int(seq)))
		}
	}
	return l, pool, lease, users
}

func traces(t testing.TB, l *Ledger, user string) *Traces {
	t.Helper()
	found, err := l.Traces(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func forgetUser(t testing.TB, lease *Lease, found *Traces) Forgotten {
	t.Helper()
	done, err := lease.Forget(t.Context(), found)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// everything is what an erasure may change, but for the lease.
func everything(t testing.TB, pool *pgxpool.Pool) string {
	t.Helper()
	return value[string](t, pool, `
		select string_agg(r, E'\n' order by r)
		  from (select t::text from transitions t union all select u::text from user_states u union all
		        select w::text from watched_users w union all select e::text from erasures e union all
		        select last_seq::text from apps) x (r)`)
}

func occurs(t testing.TB, pool *pgxpool.Pool, user string) (n int) {
	t.Helper()
	return value[int](t, pool, `
		select (select count(*) from watched_users where user_id = $1) + (select count(*) from user_states where user_id = $1)
		     + (select count(*) from transitions where user_id = $1) + (select count(*) from replays where position($2 in asked::text) > 0)`,
		user, fmt.Sprintf("%x", sha256.Sum256([]byte(user))))
}

// The rows of the user become tombstones with the same numbers, ids and times of
// recording; everybody else's stay as they were.
func TestForget(t *testing.T) {
	for user, last := range map[string]int64{"alice": 9, "bob": 9, "x'y\"z": 10} {
		t.Run(user, func(t *testing.T) {
			l, pool, lease, users := three(t)
			before := events(t, l, presence.Cursor{}, 100)
			execute(t, pool, `insert into replays (app_id, name, asked, first_seq, last_seq, told_seq) values
				($1, 'one', jsonb_build_object('users', 1, 'users_hash', $2::text), 1, 2, 0), ($1, 'two', '{"users": 1, "users_hash": "other"}', 1, 2, 0)`,
				int64(app), fmt.Sprintf("%x", sha256.Sum256([]byte(user))))
			found := traces(t, l, user)
			if found.Watchlist != 1 || found.State != 1 || found.Rows() != 3 || found.Replays != 1 || !found.Any() {
				t.Errorf("found %+v, want one row of each table, and three events", found)
			}
			done := forgetUser(t, lease, found)
			if want := (Forgotten{Watchlist: 1, State: 1, Rows: 3, Replays: 1, Newest: last}); done != want {
				t.Errorf("Forget: %+v, want %+v", done, want)
			}
			after := events(t, l, presence.Cursor{}, 100)
			if len(after) != int(last) {
				t.Fatalf("%d events, want %d", len(after), last)
			}
			for i := range after {
				if i == len(before) {
					if e := after[i]; e.Kind != presence.KindErased || e.Log != before[0].Log || e.RecordedAt.Before(before[i-1].RecordedAt) {
						t.Errorf("the last event is %+v, want a tombstone of the same log", e)
					}
					continue
				}
				want := before[i]
				if want.User.ID == user {
					want.Transition = presence.Transition{Seq: want.Seq, Kind: presence.KindErased, ObservedAt: want.RecordedAt, Sweep: want.Sweep}
				}
				if diff := cmp.Diff(want, after[i]); diff != "" {
					t.Errorf("event %d (-want +is):\n%s", want.Seq, diff)
				}
				if _, err := after[i].Data(); err != nil {
					t.Error(err)
				}
			}
			if n := occurs(t, pool, user); n != 0 {
				t.Errorf("the user is still in %d rows", n)
			}
			if asked := value[string](t, pool, `select asked::text from replays where name = 'two'`); asked != `{"users": 1, "users_hash": "other"}` {
				t.Errorf("the other replay was asked %s", asked)
			}
			untold, err := l.Untold(t.Context())
			first := int64(users[user].User.No)
			if want := presence.SeqSetOf(first, first+3, first+6); err != nil || !cmp.Equal(untold, want) {
				t.Errorf("Untold: %v, %v, want %v", untold, err, want)
			}
			// Whoever holds the lease goes on behind it.
			u := enroll(t, lease, user)[user]
			if u.User.No != 4 || u.LastSeq != 0 {
				t.Errorf("who comes back is %+v, want a new number and no event before", u)
			}
			commit(t, lease, baseline(last+1, u.User, presence.Online, morning), 500)
		})
	}
}

// Done twice, or for somebody whom nobody knows, it changes nothing.
func TestForgetNobody(t *testing.T) {
	l, pool, lease, _ := three(t)
	forgetUser(t, lease, traces(t, l, "x'y\"z"))
	before := everything(t, pool)
	for _, user := range []string{"x'y\"z", "nobody"} {
		found := traces(t, l, user)
		if found.Any() {
			t.Errorf("found %+v of %s", found, user)
		}
		if done := forgetUser(t, lease, found); done != (Forgotten{Newest: 10}) {
			t.Errorf("Forget: %+v, want nothing done", done)
		}
	}
	if everything(t, pool) != before {
		t.Error("the database is another")
	}
}

// What was added while the ledger was searched is found under the lock.
func TestForgetWhatCameMeanwhile(t *testing.T) {
	l, pool, lease, users := three(t)
	found := traces(t, l, "alice")
	record(t, lease, told(10, 7, users["alice"].User, presence.Online, presence.Offline, 10))
	record(t, lease, told(11, 8, users["bob"].User, presence.Online, presence.Offline, 11))
	if done := forgetUser(t, lease, found); done.Rows != 4 || done.Newest != 11 {
		t.Errorf("Forget: %+v, want 4 rows and no full stop", done)
	}
	if n := occurs(t, pool, "alice"); n != 0 {
		t.Errorf("the user is still in %d rows", n)
	}
}

// A ledger that an adoption replaced since, or that another holder has, is left
// alone.
func TestForgetIsFenced(t *testing.T) {
	l, pool, lease, _ := three(t)
	found := traces(t, l, "alice")
	before := everything(t, pool)
	for what, spoil := range map[string]string{"log": `update apps set log = 'ffffffff'`, "end": `update apps set last_seq = 8`} {
		execute(t, pool, spoil)
		if _, err := lease.Forget(t.Context(), found); !errors.Is(err, ErrReplaced) {
			t.Errorf("another %s: %v, want %v", what, err, ErrReplaced)
		}
		execute(t, pool, `update apps set last_seq = 9, log = (select log from transitions limit 1)`)
	}
	other, err := l.Seize(t.Context(), Terms{Owner: "other", TTL: 10 * time.Second, Window: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Release(t.Context(), time.Time{}) }()
	if _, err := lease.Forget(t.Context(), found); !errors.Is(err, ErrFenced) {
		t.Errorf("another holder: %v, want %v", err, ErrFenced)
	}
	if after := everything(t, pool); after != before {
		t.Errorf("the database is\n%s\nwant\n%s", after, before)
	}
}

// A load of the watchlist may hold the user's row for minutes. Who erases gives way
// before the lease is lost, and nothing is erased; nobody waits meanwhile.
func TestForgetGivesWayToALoad(t *testing.T) {
	l, pool, _, _ := three(t)
	brief := terms
	brief.TTL = time.Second
	lease, err := l.Seize(t.Context(), brief)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lease.Release(context.Background(), time.Time{}) })
	held, free := lease.While(t.Context())
	defer free()
	before := everything(t, pool)
	loaded := lockAside(t, pool, `delete from watched_users`)
	_, err = lease.Forget(held, traces(t, l, "bob"))
	if !locked(err) || !strings.Contains(err.Error(), "run it again") || held.Err() != nil {
		t.Errorf("beside a load: %v, lease %v; want it to give way in time", err, context.Cause(held))
	}
	loaded()
	if diff := cmp.Diff(before, everything(t, pool)); diff != "" {
		t.Errorf("erased (-before +after):\n%s", diff)
	}
	forgetUser(t, lease, traces(t, l, "bob"))
	if n := occurs(t, pool, "bob"); n != 0 {
		t.Errorf("bob is still in %d rows", n)
	}
}

// Erased again in a database that was restored to a time before.
func TestForgetAgainAfterARestore(t *testing.T) {
	l, pool, lease, _ := three(t)
	execute(t, pool, `insert into erasures (app_id, user_no, events) values ($1, 1, 3)`, int64(app))
	forgetUser(t, lease, traces(t, l, "alice"))
	untold, err := l.Untold(t.Context())
	if want := presence.SeqSetOf(1, 4, 7); err != nil || !cmp.Equal(untold, want) {
		t.Errorf("Untold: %v, %v, want %v", untold, err, want)
	}
	forgetUser(t, lease, traces(t, l, "bob"))
	if err := l.ErasedTold(t.Context(), untold); err != nil {
		t.Fatal(err)
	}
	untold, err = l.Untold(t.Context())
	if want := presence.SeqSetOf(2, 5, 8); err != nil || !cmp.Equal(untold, want) {
		t.Errorf("Untold: %v, %v, want the other's %v", untold, err, want)
	}
	if err := l.ErasedTold(t.Context(), untold); err != nil {
		t.Fatal(err)
	}
	if untold, err := l.Untold(t.Context()); err != nil || len(untold) != 0 {
		t.Errorf("Untold: %v, %v, want nothing", untold, err)
	}
}

// A ledger whose last row is gone gets a full stop too: it may have been the user's.
func TestForgetBehindAPrunedEnd(t *testing.T) {
	l, pool, lease, _ := three(t)
	execute(t, pool, `delete from transitions`)
	if done := forgetUser(t, lease, traces(t, l, "x'y\"z")); done.Newest != 10 || done.Rows != 0 || done.State != 1 {
		t.Errorf("Forget: %+v, want a tombstone as event 10", done)
	}
	// An app without an event needs none.
	empty := New(pool, app-1, zerolog.Nop())
	execute(t, pool, `insert into watched_users (app_id, user_id) values ($1, 'alice')`, int64(app-1))
	if done := forgetUser(t, win(t, empty), traces(t, empty, "alice")); done != (Forgotten{Watchlist: 1}) {
		t.Errorf("Forget: %+v, want one row of the watchlist and no event", done)
	}
	if n := value[int](t, pool, `select count(*) from watched_users where user_id = 'alice'`); n != 1 {
		t.Errorf("%d rows of the watchlist, want the one of the other app", n)
	}
}

// An adoption imports tombstones as nobody's, and counts nobody for them.
func TestAdoptTombstones(t *testing.T) {
	l, pool, lease, users := three(t)
	nobody := told(10, 0, presence.User{}, presence.Unknown, presence.Unknown, 10)
	nobody.Kind = presence.KindErased
	end := told(12, 0, presence.User{}, presence.Unknown, presence.Unknown, 12)
	end.Kind = presence.KindErased
	bob := told(11, 8, users["bob"].User, presence.Online, presence.Offline, 11)
	done, err := adopt(t, lease, 8, presence.Cursor{Seq: 12, StreamSeq: 12, StreamCreated: noon}, nobody, bob, end)
	if err != nil || done.Imported != 3 || done.NewUsers != 0 || done.Dropped != 1 || done.States != 2 {
		t.Errorf("adopted %+v, %v, want three events, no new user, and two states", done, err)
	}
	if n := value[int](t, pool, `select count(*) from user_states where user_id = '' or user_no = 0`); n != 0 {
		t.Errorf("nobody has %d states", n)
	}
	if n := value[int](t, pool, `select count(*) from transitions where kind = 'erased' and user_no = 0 and user_id = ''`); n != 2 {
		t.Errorf("%d tombstones, want 2", n)
	}
	var r Removals
	r.Add([]presence.Event{nobody, bob, end})
	if watched, unlisted, err := l.Removals(t.Context(), 8, &r); err != nil || watched != 3 || unlisted != 0 {
		t.Errorf("Removals: %d watched, %d not listed, %v, want 3 and 0", watched, unlisted, err)
	}
}

// The planner's statistics name users, and no longer the one who was erased.
func TestForgetStatistics(t *testing.T) {
	l, pool, lease, _ := three(t)
	execute(t, pool, `analyze`)
	for user, want := range map[string]int{"alice": 4, "nobody": 0} {
		if n, err := l.Statistics(t.Context(), user); n != want || err != nil {
			t.Errorf("the statistics of %d tables name %s, %v, want %d", n, user, err, want)
		}
	}
	forgetUser(t, lease, traces(t, l, "alice"))
	if left, err := l.Analyze(t.Context(), "alice"); left != 0 || err != nil {
		t.Errorf("the statistics of %d tables still name the user, %v", left, err)
	}
	if n, err := l.Statistics(t.Context(), "bob"); n != 4 || err != nil {
		t.Errorf("the statistics of %d tables name another user, %v, want 4 as before", n, err)
	}
	if left, err := l.Analyze(t.Context(), "nobody"); left != 0 || err != nil {
		t.Errorf("Analyze: %d, %v", left, err)
	}
}

// Another program's schema in the same database, which the role may not look into.
func TestStatisticsBesideAnotherSchema(t *testing.T) {
	_, pool, _, _ := three(t)
	const role = "statistics_beside"
	for _, sql := range []string{
		`create schema theirs`, `create table theirs.logins (user_id text)`, `insert into theirs.logins values ('alice'), ('alice')`,
		`grant select on theirs.logins to public`, `analyze`, `create role ` + role, `grant select on all tables in schema public to ` + role,
	} {
		execute(t, pool, sql)
	}
	defer execute(t, pool, `drop role `+role)
	defer execute(t, pool, `drop owned by `+role)
	cfg := pool.Config()
	cfg.ConnConfig.RuntimeParams["role"] = role
	theirs, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	if n, err := New(theirs, app, zerolog.Nop()).Statistics(t.Context(), "alice"); n != 4 || err != nil {
		t.Errorf("the statistics of %d tables name the user, %v, want 4", n, err)
	}
}
