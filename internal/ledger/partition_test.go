package ledger

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/zim-presence/poller/presence"
)

// dropLastPartition takes away the partition of the last day ahead.
func dropLastPartition(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	execute(t, pool, `drop table `+value[string](t, pool, `select max(inhrelid::regclass::text) from pg_inherits where inhparent = 'transitions'::regclass`))
}

// lockAside takes a lock, in SQL, that lasts until it is freed or the test ends.
func lockAside(t *testing.T, pool *pgxpool.Pool, sql string) (free func()) {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	free = func() { _ = tx.Rollback(context.Background()) } // a second time it does nothing
	t.Cleanup(free)
	if _, err := tx.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
	return free
}

// Where nothing is missing nobody waits for who makes partitions.
func TestPartitionsThatStandWaitForNobody(t *testing.T) {
	l, pool := open(t)
	lockAside(t, pool, `select pg_advisory_xact_lock(hashtext('poller partitions'))`)
	if err := l.EnsurePartitions(t.Context()); err != nil {
		t.Errorf("with all partitions there: %v", err)
	}
}

// What a long analyze or a create index holds is not waited for without limit,
// and commits go on meanwhile.
func TestPartitionsThatCannotBeMadeHoldUpNothing(t *testing.T) {
	l, pool := open(t)
	lease := win(t, l)
	u := enroll(t, lease, "u")["u"].User
	dropLastPartition(t, pool)
	free := lockAside(t, pool, `lock table transitions in share update exclusive mode`)
	var said *pgconn.PgError
	if err := l.EnsurePartitions(t.Context()); !errors.As(err, &said) || said.Code != "55P03" {
		t.Errorf("with the ledger locked: %v, want lock_timeout's 55P03", err)
	}
	commit(t, lease, baseline(1, u, presence.Online, morning), 1)
	free()
	if err := l.EnsurePartitions(t.Context()); err != nil {
		t.Error(err)
	}
}

// Nobody who may make something in the schema has it run by the tables' owner.
func TestPartitionsRunNobodyElsesCode(t *testing.T) {
	l, pool := open(t)
	dropLastPartition(t, pool)
	execute(t, pool, `create table ran (what text)`)
	for _, sql := range []string{
		`create function to_char(date, text) returns text language plpgsql as
			$f$ begin insert into public.ran values ('to_char'); return pg_catalog.to_char($1::timestamp, $2); end $f$`,
		`create function beside(date, text) returns text language plpgsql as
			$f$ begin insert into public.ran values ('||'); return $1::text operator(pg_catalog.||) $2; end $f$`,
		`create operator || (leftarg = date, rightarg = text, function = beside)`,
		`create function format(text, text) returns text language plpgsql as
			$f$ begin insert into public.ran values ('format'); return pg_catalog.format($1, variadic array[$2]); end $f$`,
	} {
		execute(t, pool, sql)
	}
	if err := l.EnsurePartitions(t.Context()); err != nil {
		t.Error(err)
	}
	if n := value[int](t, pool, `select count(*) from pg_inherits where inhparent = 'transitions'::regclass`); n != partitionsAhead+1 {
		t.Errorf("%d partitions, want %d", n, partitionsAhead+1)
	}
	if ran := value[[]string](t, pool, `select coalesce(array_agg(distinct what), '{}') from ran`); len(ran) > 0 {
		t.Errorf("the owner ran an intruder's %q", ran)
	}
}
