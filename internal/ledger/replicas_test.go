package ledger

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
)

// registered registers a replica for as long as the test lasts.
func registered(t *testing.T, pool *pgxpool.Pool, owner string, apps ...uint32) *Replicas {
	t.Helper()
	r := NewReplicas(pool, Replica{owner, apps}, time.Minute)
	t.Cleanup(func() {
		if err := r.Leave(context.Background()); err != nil {
			t.Error(err)
		}
	})
	look(t, r)
	return r
}

func look(t *testing.T, r *Replicas) Sight {
	t.Helper()
	sight, err := r.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(sight.Live, func(a, b Replica) int { return len(b.Apps) - len(a.Apps) })
	return sight
}

func wantLive(t *testing.T, r *Replicas, when string, want ...Replica) {
	t.Helper()
	if diff := cmp.Diff(want, look(t, r).Live); diff != "" {
		t.Errorf("%s, live replicas (-want +got):\n%s", when, diff)
	}
}

func TestReplicasSeeEachOther(t *testing.T) {
	_, pool := open(t)
	a := registered(t, pool, "a", app, 1)
	wantLive(t, a, "alone", Replica{"a", []uint32{app, 1}})
	b := registered(t, pool, "b", app)
	both := []Replica{{"a", []uint32{app, 1}}, {"b", []uint32{app}}}
	wantLive(t, a, "two", both...)
	wantLive(t, b, "two", both...)
	if err := a.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantLive(t, b, "after the first has left", Replica{"b", []uint32{app}})
	wantLive(t, a, "after it came back", both...)
	b.SetApps([]uint32{app, 1, 2})
	wantLive(t, b, "with more apps", Replica{"b", []uint32{app, 1, 2}}, Replica{"a", []uint32{app, 1}})
	wantLive(t, a, "with more apps", Replica{"b", []uint32{app, 1, 2}}, Replica{"a", []uint32{app, 1}})
}

// A killed process is seen at once by its session, and a silent one when it has
// expired. One that lives is back with the next look.
func TestDeadReplicasDoNotCount(t *testing.T) {
	_, pool := open(t)
	a, b := registered(t, pool, "a", 1, 2), registered(t, pool, "b", 1)
	one, both := []Replica{{"b", []uint32{1}}}, []Replica{{"a", []uint32{1, 2}}, {"b", []uint32{1}}}

	pid := value[int](t, pool, `select session_pid from replicas where owner = 'a'`)
	execute(t, pool, `select pg_terminate_backend($1, 5000)`, pid)
	wantLive(t, b, "after the session has died", one...)
	if _, err := a.Look(t.Context()); err == nil {
		t.Error("a look on a dead session: no error")
	}
	wantLive(t, a, "after the next look", both...)

	execute(t, pool, `update replicas set session_start = session_start - interval '1 s' where owner = 'a'`)
	wantLive(t, b, "with the pid of another session", one...)
	if _, err := a.Look(t.Context()); !errors.Is(err, ErrNotListed) {
		t.Errorf("a look that does not see itself: %v, want %v", err, ErrNotListed)
	}
	wantLive(t, a, "after the next look", both...)

	execute(t, pool, `update replicas set expires_at = clock_timestamp() where owner = 'a'`)
	wantLive(t, b, "expired", one...)
	execute(t, pool, `update replicas set expires_at = clock_timestamp() + interval '1 minute', session_pid = null, session_start = null where owner = 'a'`)
	wantLive(t, b, "without a session to be seen", both...)
}

// The row is renewed when a third of its life is over, and not before.
func TestReplicaRenews(t *testing.T) {
	_, pool := open(t)
	a := registered(t, pool, "a", 1)
	expires := func() time.Time {
		return value[time.Time](t, pool, `select expires_at from replicas where owner = 'a'`)
	}
	first := expires()
	if left := time.Until(first); left < 50*time.Second || left > time.Minute {
		t.Errorf("the row expires in %s, want the TTL of a minute", left)
	}
	look(t, a)
	if again := expires(); !again.Equal(first) {
		t.Errorf("renewed at once, from %s to %s", first, again)
	}
	a.renewed = time.Now().Add(-20 * time.Second)
	look(t, a)
	if again := expires(); !again.After(first) {
		t.Errorf("not renewed after a third of the TTL: %s", again)
	}
}

// Who died lately is left for people to see, who died long ago is not.
func TestLongDeadReplicasAreForgotten(t *testing.T) {
	_, pool := open(t)
	execute(t, pool, `insert into replicas (owner, apps, expires_at)
		values ('long dead', '{1}', clock_timestamp() - interval '61 minutes'), ('dead', '{1}', clock_timestamp() - interval '59 minutes'),
		       ('back from the dead', '{1}', clock_timestamp() - interval '1 day')`)
	registered(t, pool, "back from the dead", 1)
	got := value[[]string](t, pool, `select array_agg(owner order by owner) from replicas`)
	if want := []string{"back from the dead", "dead"}; !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
}

func TestReplicasSeeLeases(t *testing.T) {
	l, pool := open(t)
	a := registered(t, pool, "a", app)
	see := func(when string, want LeaseSight) {
		t.Helper()
		sight := look(t, a)
		if got := sight.Leases[app]; got != want || sight.Takeable(app) != want.Takeable {
			t.Errorf("%s the lease looks like %+v (takeable %t), want %+v", when, got, sight.Takeable(app), want)
		}
	}
	if sight := look(t, a); len(sight.Leases) != 0 || !sight.Takeable(app) {
		t.Errorf("an app that was never held: %+v, want it takeable", sight.Leases)
	}
	lease := win(t, l)
	see("held,", LeaseSight{"test", false, 1})
	lease.stop()
	<-lease.kept
	closeConn(lease.conn)
	eventually(t, "the lease's session looks gone", func() bool { return look(t, a).Takeable(app) })
	see("with its session gone", LeaseSight{"test", true, 1})
	execute(t, pool, `update apps set session_pid = null where app_id = $1`, app)
	see("behind a pooler", LeaseSight{"test", false, 1})
	execute(t, pool, `update apps set expires_at = clock_timestamp() where app_id = $1`, app)
	see("expired,", LeaseSight{"test", true, 1})
	if err := lease.Release(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	see("released,", LeaseSight{"", true, 1})
}

// What cannot be read is not known, and a look does not wait for ever.
func TestReplicasWithoutADatabase(t *testing.T) {
	_, pool := open(t)
	a := NewReplicas(pool, Replica{"a", []uint32{1}}, time.Minute)
	look(t, a)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `lock table replicas`); err != nil {
		t.Fatal(err)
	}
	a.ttl = time.Second // of which a look takes all, and this one is to fail
	if sight, err := a.Look(t.Context()); !errors.Is(err, context.DeadlineExceeded) || sight.Live != nil {
		t.Errorf("a look at a locked table: %+v, %v, want that its deadline is over", sight, err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.ttl = time.Minute
	wantLive(t, a, "when it can be read again", Replica{"a", []uint32{1}})
	if err := a.Leave(t.Context()); err != nil {
		t.Error(err)
	}
}
