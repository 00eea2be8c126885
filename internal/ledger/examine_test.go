package ledger

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// examine looks at the database of a pool, as a role.
func examine(t *testing.T, pool *pgxpool.Pool, role string) *Examination {
	t.Helper()
	settings := pool.Config().ConnConfig.Copy()
	if role != "" {
		settings.RuntimeParams["role"] = role
	}
	x, err := Examine(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	return x
}

// granted are the grants to the daemon's role that the manual shows, one privilege each, as they are said.
func granted(t *testing.T) (grants []string) {
	t.Helper()
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^grant (.*) on (.*) to poller;$`).FindAllStringSubmatch(string(manual), -1) {
		switch object := m[2]; {
		case strings.HasPrefix(object, "database"):
		case strings.HasPrefix(object, "function"), strings.HasPrefix(object, "schema"):
			grants = append(grants, m[1]+" on "+object)
		default:
			for table := range strings.SplitSeq(object, ", ") {
				for privilege := range strings.SplitSeq(m[1], ", ") {
					grants = append(grants, privilege+" on "+table)
				}
			}
		}
	}
	return grants
}

// The rights that are looked up are those that the manual grants to the daemon: each that is taken away is missed, and
// named as it is granted, and no other.
func TestRightsAreThoseOfTheManual(t *testing.T) {
	_, pool := open(t)
	grants := granted(t)
	if len(grants) < 20 {
		t.Fatalf("the manual grants %q", grants)
	}
	const role = "rights_of_the_manual"
	execute(t, pool, "create role "+role)
	t.Cleanup(func() {
		if _, err := pool.Exec(context.Background(), "drop owned by "+role+"; drop role "+role, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Error(err)
		}
	})
	execute(t, pool, "revoke usage on schema public from public")
	for _, grant := range grants {
		execute(t, pool, "grant "+grant+" to "+role)
	}
	x := examine(t, pool, role)
	if r, err := x.Rights(t.Context()); err != nil || len(r.Missing)+len(r.Optional) > 0 || r.Role != role {
		t.Errorf("with all grants of the manual: %+v, %v", r, err)
	}
	for _, grant := range grants {
		execute(t, pool, "revoke "+grant+" from "+role)
		if strings.HasPrefix(grant, "usage") {
			execute(t, pool, "grant usage on schema public to "+role) // else nothing of it is found at all
			continue
		}
		r, err := x.Rights(t.Context())
		optional := strings.Contains(grant, "prune_") || strings.Contains(grant, "thin_")
		missing := r.Missing
		if optional {
			missing = r.Optional
		}
		if err != nil || !slices.Equal(missing, []string{grant}) || len(r.Missing)+len(r.Optional) != 1 {
			t.Errorf("without %s: %+v, %v", grant, r, err)
		}
		execute(t, pool, "grant "+grant+" to "+role)
	}
	execute(t, pool, "revoke insert, update on apps from "+role)
	if r, err := x.Rights(t.Context()); err != nil || !slices.Equal(r.Missing, []string{"insert, update on apps"}) {
		t.Errorf("several of one table: %+v, %v", r, err)
	}
}

// An examination leaves nothing behind, and does not mind what state the database is in.
func TestExamination(t *testing.T) {
	l, pool := open(t)
	x := examine(t, pool, "")
	r, err := x.Reached(t.Context())
	if err != nil || !r.Direct || !r.Local || r.TLS != "" {
		t.Errorf("reached: %+v, %v", r, err)
	}
	s, err := x.Server(t.Context())
	if err != nil || s.Number < 140000 || s.Encoding != "UTF8" || s.Standby || s.ReadOnly || s.Ahead.Abs() > s.Within || s.StatementTimeout != 0 {
		t.Errorf("server: %+v, %v", s, err)
	}
	execute(t, pool, `insert into poller_migrations (version_id, is_applied) values (99, true), (100, false)`)
	if schema, err := x.Schema(t.Context()); err != nil || schema.Version != 99 || !schema.MayCreate {
		t.Errorf("schema: %+v, %v", schema, err)
	}
	if left, most, err := x.Room(t.Context()); err != nil || left < 1 || left >= most {
		t.Errorf("%d of %d connections are left, %v", left, most, err)
	}
	if days, err := x.Ahead(t.Context()); err != nil || days != partitionsAhead+1 {
		t.Errorf("partitions for %d days, %v; want %d", days, err, partitionsAhead+1)
	}
	// A gap ends the count.
	day := value[string](t, pool, `select to_char((clock_timestamp() at time zone 'UTC')::date + 3, 'YYYYMMDD')`)
	execute(t, pool, "drop table transitions_"+day)
	if days, err := x.Ahead(t.Context()); err != nil || days != 3 {
		t.Errorf("partitions for %d days behind a gap, %v; want 3", days, err)
	}
	if n := value[int](t, pool, `select count(*) from apps`); n != 0 {
		t.Errorf("%d apps were made", n)
	}
	if st, err := l.Standing(t.Context()); err != nil || st.Known || st.Held() {
		t.Errorf("of an app that nobody ever polled: %+v, %v", st, err)
	}
	execute(t, pool, `drop schema public cascade`)
	execute(t, pool, `create schema public`)
	if schema, err := x.Schema(t.Context()); err != nil || schema.Version != 0 || !schema.MayCreate {
		t.Errorf("schema of an empty database: %+v, %v", schema, err)
	}
}

// Who holds the lease, who has died with it, and who lives.
func TestStanding(t *testing.T) {
	l, pool := open(t)
	lease, err := l.TryAcquire(t.Context(), terms)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, pool, `insert into replicas (owner, apps, expires_at) values ('a', $1, now() + interval '1 hour'), ('b', '{7}', now() + interval '1 hour'), ('c', $1, now() - interval '1 second')`,
		[]int64{app})
	s, err := l.Standing(t.Context())
	if err != nil || !s.Held() || s.Owner != terms.Owner || !slices.Equal(s.Replicas, []string{"a"}) || s.Expires <= 0 || s.Sweep != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if err := lease.Release(t.Context(), time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if s, err := l.Standing(t.Context()); err != nil || s.Held() || s.Left {
		t.Errorf("released: %+v, %v", s, err)
	}
	execute(t, pool, `update apps set owner = 'dead', expires_at = now() - interval '1 second'`)
	execute(t, pool, `insert into snapshots (app_id, sweep, started, finished, seq, watched, seen, missed_count, transitions, requests, online, known, missed)
		select $1, n, now() - interval '70 seconds', now() - interval '1 minute', 0, 10, n, 0, 0, 1, '', '', '{}' from generate_series(4, 5) n`, int64(app))
	if s, err := l.Standing(t.Context()); err != nil || s.Held() || !s.Left || s.Sweep != 5 || s.Seen != 5 || s.Watched != 10 || s.Took != 10*time.Second || s.Ago < time.Minute {
		t.Errorf("died: %+v, %v", s, err)
	}
}
