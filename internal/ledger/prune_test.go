package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/zim-presence/poller/presence"
)

const aDay = 24 * time.Hour

// past is a ledger some days of which lie behind.
type past struct {
	t     testing.TB
	pool  *pgxpool.Pool
	today time.Time // its beginning, by the database's clock
	seqs  map[uint32]int64
}

// openPast returns a ledger with empty partitions of so many days before today.
func openPast(t testing.TB, days int) (*Ledger, *past) {
	t.Helper()
	l, pool := open(t)
	today := value[time.Time](t, pool, `select date_trunc('day', clock_timestamp(), 'UTC')`).UTC()
	p := &past{t, pool, today, map[uint32]int64{}}
	for n := 1; n <= days; n++ {
		p.partition(n)
	}
	return l, p
}

// partition makes the one of so many days ago.
func (p *past) partition(ago int) {
	p.t.Helper()
	day := p.day(ago)
	execute(p.t, p.pool, fmt.Sprintf(`create table %s partition of transitions for values from ('%s') to ('%s')`,
		part(day), day.Format(time.RFC3339), day.Add(aDay).Format(time.RFC3339)))
}

func part(day time.Time) string { return "transitions_" + day.Format("20060102") }

// day is the beginning of so many days ago.
func (p *past) day(ago int) time.Time { return p.today.Add(-time.Duration(ago) * aDay) }

// record writes so many events of an app at a time, told or not yet.
func (p *past) record(app uint32, at time.Time, events int64) {
	p.t.Helper()
	execute(p.t, p.pool, `insert into apps (app_id) values ($1) on conflict do nothing`, int64(app))
	execute(p.t, p.pool, `
		insert into transitions (app_id, seq, user_no, user_id, kind, from_status, to_status, detail, after, observed_at, prev_seq,
		                         sweep, log, encoding, recorded_at)
		select $1, $2 + n, 1 + n % 50, 'user-' || n % 50, 'online', 'offline', 'online', '', $4, $4, 0, 1, '00000000', 1, $4
		  from generate_series(1, $3) n`, int64(app), p.seqs[app], events, at)
	p.seqs[app] += events
	execute(p.t, p.pool, `update apps set last_seq = $2, last_recorded_at = greatest(last_recorded_at, $3) where app_id = $1`,
		int64(app), p.seqs[app], at)
}

// tell says that all events of an app were told.
func (p *past) tell(app uint32) {
	p.t.Helper()
	execute(p.t, p.pool, saveCursorSQL, int64(app), p.seqs[app], p.seqs[app], morning, morning)
}

// snapshot saves one at a time.
func (p *past) snapshot(app uint32, at time.Time) {
	p.t.Helper()
	execute(p.t, p.pool, `
		insert into snapshots (app_id, sweep, started, finished, seq, watched, seen, missed_count, transitions, requests, online, known, missed)
		select $1, coalesce(max(sweep), 0) + 1, $2::timestamptz - interval '1 minute', $2, $3, 0, 0, 0, 0, 0, '\x01', '\x02', '{}'
		  from snapshots where app_id = $1`, int64(app), at, p.seqs[app])
}

// kept returns the days that the ledger still has, before today.
func (p *past) kept() (days []string) {
	p.t.Helper()
	all := value[[]string](p.t, p.pool, `select array_agg(inhrelid::regclass::text order by inhrelid::regclass::text) from pg_inherits where inhparent = 'transitions'::regclass`)
	today := part(p.day(0))
	return slices.DeleteFunc(all, func(name string) bool { return name >= today })
}

// keeping keeps transitions for so many days, and snapshots for ever.
func keeping(days int) Retention {
	const ever = 3650 * aDay
	return Retention{Transitions: time.Duration(days) * aDay, EverySweep: ever, Hourly: ever, Snapshots: ever}
}

func prune(t testing.TB, l *Ledger, keep Retention, dry bool) Pruned {
	t.Helper()
	done, err := l.Prune(t.Context(), keep, dry)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// outcome is what became of each day that is too old: dropped, or why not.
func outcome(done Pruned) (days []string) {
	for _, d := range done.Days {
		if d.Dropped {
			days = append(days, "dropped")
		} else {
			days = append(days, d.Kept)
		}
	}
	return days
}

func TestPruneDropsWholeDays(t *testing.T) {
	l, p := openPast(t, 6)
	for ago := 6; ago >= 0; ago-- {
		p.record(app, p.day(ago).Add(time.Hour), 10)
		p.record(7, p.day(ago).Add(2*time.Hour), 3)
	}
	for _, a := range []uint32{app, 7} {
		p.tell(a)
		p.snapshot(a, p.day(0).Add(2*time.Hour))
	}
	before := p.kept()
	dry := prune(t, l, keeping(3), true)
	if got := p.kept(); !slices.Equal(got, before) {
		t.Fatalf("a dry run has dropped: %v are left of %v", got, before)
	}
	// The day before yesterday has not been over for three days; that of four days ago has, whatever the hour.
	want := []string{part(p.day(6)), part(p.day(5)), part(p.day(4))}
	var names []string
	for _, d := range dry.Days {
		names = append(names, d.Part)
		if d.Dropped || d.Kept != "" || d.Rows != 13 || d.Bytes == 0 {
			t.Errorf("a dry run says %+v; want 13 rows, bytes, and nothing to keep them for", d)
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("a dry run would drop %v, want %v", names, want)
	}
	done := prune(t, l, keeping(3), false)
	if got := outcome(done); !slices.Equal(got, []string{"dropped", "dropped", "dropped"}) {
		t.Errorf("the days came to %q, want three dropped", got)
	}
	if got, want := p.kept(), before[3:]; !slices.Equal(got, want) {
		t.Errorf("left: %v, want %v", got, want)
	}
	for a, want := range map[uint32]int64{app: 30, 7: 9} {
		if got := value[int64](t, p.pool, `select pruned_seq from apps where app_id = $1`, int64(a)); got != want {
			t.Errorf("app %d: pruned up to event %d, want %d", a, got, want)
		}
		if got := value[time.Time](t, p.pool, `select pruned_until from apps where app_id = $1`, int64(a)); !got.Equal(p.day(3)) {
			t.Errorf("app %d: pruned until %s, want %s", a, got, p.day(3))
		}
	}
	if oldest, err := l.Oldest(t.Context()); err != nil || !oldest.Equal(p.day(3)) {
		t.Errorf("the ledger begins on %s, %v; want %s", oldest, err, p.day(3))
	}
	if again := prune(t, l, keeping(3), false); len(again.Days) > 0 {
		t.Errorf("pruned twice: %+v", again.Days)
	}
}

// Each thing that a day is still needed for keeps it, and all after it.
func TestPruneKeepsWhatIsNeeded(t *testing.T) {
	const other = 7
	for _, c := range []struct {
		name string
		sql  string // against the two days that both apps have 10 events in, all of it told
		want []string
	}{
		{"nothing", ``, []string{"dropped", "dropped"}},
		{"an event is not told", `update relay_cursors set told_seq = 9 where app_id = 7`,
			[]string{"app 7: event 10 has not been told (told: 9)", "app 7: event 20 has not been told (told: 9)"}},
		{"an event of the second day is not told", `update relay_cursors set told_seq = 19 where app_id = 7`,
			[]string{"dropped", "app 7: event 20 has not been told (told: 19)"}},
		{"nothing was ever told", `delete from relay_cursors where app_id = 7`,
			[]string{"app 7: event 10 has not been told (told: 0)", "app 7: event 20 has not been told (told: 0)"}},
		{"only the older day is needed",
			`insert into replays (app_id, name, asked, first_seq, last_seq, told_seq) values (7, 'audit-3', '{}', 5, 10, 4)`,
			[]string{"app 7: the replay audit-3 needs it (event 4 of 10)", "an older day is kept"}},
		{"a replay begins behind", `insert into replays (app_id, name, asked, first_seq, last_seq, told_seq) values (7, 'r', '{}', 21, 30, 20)`,
			[]string{"dropped", "dropped"}},
		{"a replay has come past the first day", `insert into replays (app_id, name, asked, first_seq, last_seq, told_seq) values (7, 'r', '{}', 5, 30, 10)`,
			[]string{"dropped", "app 7: the replay r needs it (event 10 of 30)"}},
		{"a replay has ended", `insert into replays (app_id, name, asked, first_seq, last_seq, told_seq, ended_at) values (7, 'r', '{}', 5, 30, 4, now())`,
			[]string{"dropped", "dropped"}},
		{"a replay was left", `insert into replays (app_id, name, asked, first_seq, last_seq, told_seq, moved_at) values (7, 'r', '{}', 5, 30, 4, now() - interval '7 days')`,
			[]string{"dropped", "dropped"}},
		{"a replay of another app", `insert into replays (app_id, name, asked, first_seq, last_seq, told_seq) values (8, 'r', '{}', 5, 30, 4)`,
			[]string{"dropped", "dropped"}},
		{"no snapshot", `delete from snapshots where app_id = 7`,
			[]string{"app 7: no complete sweep has left a snapshot since event 10", "app 7: no complete sweep has left a snapshot since event 20"}},
		{"a snapshot before the end of the second day", `update snapshots set seq = 19 where app_id = 7`,
			[]string{"dropped", "app 7: no complete sweep has left a snapshot since event 20"}},
		{"a snapshot right at the end of the second day", `update snapshots set seq = 20 where app_id = 7`, []string{"dropped", "dropped"}},
		{"nobody's rows", `delete from apps where app_id = 7`, []string{"app 7: it has no row in apps", "app 7: it has no row in apps"}},
		{"two reasons of two apps", `delete from relay_cursors; delete from snapshots where app_id = 7`, []string{
			"app 7: event 10 has not been told (told: 0), no complete sweep has left a snapshot since event 10; app 4000000001: event 10 has not been told (told: 0)",
			"app 7: event 20 has not been told (told: 0), no complete sweep has left a snapshot since event 20; app 4000000001: event 20 has not been told (told: 0)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, p := openPast(t, 3)
			for _, a := range []uint32{app, other} {
				for ago := 3; ago >= 0; ago-- {
					p.record(a, p.day(ago).Add(time.Hour), 10)
				}
				p.tell(a)
				p.snapshot(a, p.day(0).Add(2*time.Hour))
			}
			for sql := range strings.SplitSeq(c.sql, ";") {
				execute(t, p.pool, sql)
			}
			would := prune(t, l, keeping(1), true)
			if diff := cmp.Diff(c.want, outcome(prune(t, l, keeping(1), false))); diff != "" {
				t.Errorf("the days came to (-want +got):\n%s", diff)
			}
			for i, said := range outcome(would) {
				if dropped := c.want[i] == "dropped"; dropped != (said == "") || !dropped && said != c.want[i] {
					t.Errorf("the dry run says %q of day %d, and it came to %q", said, i, c.want[i])
				}
			}
		})
	}
}

// Neither a day that is not over, nor one of the future, nor what is asked for too soon.
func TestPruneKeepsAtLeastADay(t *testing.T) {
	l, p := openPast(t, 1)
	p.record(app, p.day(0), 1)
	p.tell(app)
	p.snapshot(app, p.day(0))
	if done := prune(t, l, keeping(1), false); len(done.Days) != 0 {
		t.Errorf("dropped %+v", done.Days)
	}
	for _, sql := range []string{
		`select prune_transitions('23:59:59', false)`, `select prune_transitions('-90 days', false)`, `select prune_transitions(null, false)`,
		`select prune_transitions('90 days', null)`,
		`select thin_snapshots(1, '23:59:59', '90 days', '400 days', false)`, `select thin_snapshots(1, '7 days', '6 days', '400 days', false)`,
		`select thin_snapshots(1, '7 days', '90 days', '89 days', false)`, `select thin_snapshots(1, '7 days', '90 days', null, false)`,
		`select thin_snapshots(1, null, '90 days', '400 days', false)`, `select thin_snapshots(null, '7 days', '90 days', '400 days', false)`,
		`select thin_snapshots(1, '7 days', '90 days', '400 days', null)`,
	} {
		if _, err := p.pool.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "kept for a day or longer") {
			t.Errorf("%s: %v, want it refused", sql, err)
		}
	}
}

// An age that is compared as a day, and by the calendar lies in the future.
func TestPruneByACrookedAge(t *testing.T) {
	_, p := openPast(t, 1)
	p.record(app, p.day(0), 1)
	p.tell(app)
	for range 101 {
		p.snapshot(app, p.day(0))
	}
	for _, sql := range []string{
		`select prune_transitions('-120 months 3601 days', false)`, `select prune_transitions('-120 months 3601 days', true)`,
		`select thin_snapshots(4000000001, '-120 months 3601 days', '90 days', '400 days', false)`,
		`select thin_snapshots(4000000001, '7 days', '-120 months 3608 days', '400 days', false)`,
	} {
		if _, err := p.pool.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "kept for a day or longer") {
			t.Errorf("%s: %v, want it refused", sql, err)
		}
	}
}

// Who looks at the tables as they were a while ago does not see what is needed now.
func TestPruneSeesThePresent(t *testing.T) {
	_, p := openPast(t, 2)
	execute(t, p.pool, `insert into apps (app_id) values ($1)`, int64(app))
	for _, level := range []string{"repeatable read", "serializable"} {
		for _, sql := range []string{
			`select prune_transitions('1 day', false)`, `select thin_snapshots(4000000001, '7 days', '90 days', '400 days', false)`,
		} {
			tx, err := p.pool.Begin(t.Context())
			if err == nil {
				_, err = tx.Exec(t.Context(), `set transaction isolation level `+level)
			}
			if err == nil {
				_, err = tx.Exec(t.Context(), `select from apps`)
			}
			if err != nil {
				t.Fatal(err)
			}
			p.record(app, p.day(2), 10) // nobody was told of these
			if _, err := tx.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "read committed") {
				t.Errorf("%s, %s: %v, want it refused", level, sql, err)
			}
			_ = tx.Rollback(t.Context())
		}
	}
	if n := value[int](t, p.pool, `select count(*) from transitions`); n != 40 {
		t.Errorf("%d of 40 events that nobody was told are left", n)
	}
}

// Who reads the ledger for long holds up the drop and nobody else; it is made up
// for later.
func TestPruneGivesWay(t *testing.T) {
	l, p := openPast(t, 3)
	lease := win(t, l)
	u := enroll(t, lease, "u")["u"].User
	p.record(7, p.day(3).Add(time.Hour), 10)
	p.tell(7)
	p.snapshot(7, p.day(0))
	for _, held := range []string{
		`select from transitions limit 1`,                            // a reader, or verify
		`lock table transitions in share update exclusive mode`,      // who makes partitions
		`select from apps for update`,                                // a lease, an adoption
		`lock table replays in row exclusive mode`,                   // a replay that begins
		fmt.Sprintf(`select from %s limit 1`, part(p.day(3))),        // who looks into one day
		`select pg_advisory_xact_lock(hashtext('poller retention'))`, // another replica
	} {
		free := lockAside(t, p.pool, held)
		done := make(chan error)
		go func() { _, err := l.pruneDay(t.Context(), aDay, false); done <- err }()
		if !strings.Contains(held, "from apps") { // the commit waits for that one by itself
			lastSeq := lease.LastSeq()
			for n := int64(1); n <= 3; n++ {
				commit(t, lease, baseline(lastSeq+n, u, presence.Online, morning), 1)
			}
		}
		if err := <-done; !locked(err) {
			t.Errorf("with %q: %v, want a lock that was not to be had", held, err)
		}
		free()
	}
	if got := len(p.kept()); got != 3 {
		t.Errorf("%d days are left, want 3", got)
	}
	if done := prune(t, l, keeping(1), false); !slices.Equal(outcome(done), []string{"dropped", "dropped"}) {
		t.Errorf("with all free: %+v", done)
	}
	if n := len(events(t, l, presence.Cursor{}, 100)); n != 15 {
		t.Errorf("%d events of the app that went on, want 15", n)
	}
}

// A replay may begin while the drop waits for its locks.
func TestPruneLooksOnceMore(t *testing.T) {
	l, p := openPast(t, 2)
	p.record(app, p.day(2), 10)
	p.tell(app)
	p.snapshot(app, p.day(0))
	for deadline := time.Now().Add(time.Minute); ; {
		free := lockAside(t, p.pool, `select from transitions limit 1`)
		done := make(chan error, 1)
		go func() { _, err := l.pruneDay(t.Context(), aDay, false); done <- err }()
		for len(done) == 0 && value[int](t, p.pool, `select count(*) from pg_locks where not granted and mode = 'AccessExclusiveLock'`) == 0 {
			continue
		}
		execute(t, p.pool, `insert into replays (app_id, name, asked, first_seq, last_seq, told_seq) values ($1, 'r', '{}', 1, 10, 0)`, app)
		free()
		err := <-done
		if !locked(err) || len(p.kept()) != 2 {
			t.Fatalf("beside a replay that begins: %v, and %v are left", err, p.kept())
		}
		if strings.Contains(err.Error(), "is needed since this moment") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the drop never got its lock: %v", err)
		}
		execute(t, p.pool, `delete from replays`)
	}
}

// A commit that waits behind a drop that waits is served within its patience.
func TestPruneHoldsUpACommitForLessThanItsPatience(t *testing.T) {
	l, p := openPast(t, 2)
	lease := win(t, l)
	u := enroll(t, lease, "u")["u"].User
	p.record(7, p.day(2).Add(time.Hour), 10)
	p.tell(7)
	p.snapshot(7, p.day(0))
	// It waits for four locks at most, and a write under the shortest lease has a second.
	if timeout := value[time.Duration](t, p.pool, `
		select option_value::interval
		  from pg_proc, pg_options_to_table(proconfig)
		 where proname = 'prune_transitions' and option_name = 'lock_timeout'`); 4*timeout > 3*silence/4 {
		t.Errorf("it waits %s for each lock", timeout)
	}
	lockAside(t, p.pool, `select from transitions limit 1`)
	conn, err := p.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	gone := make(chan error)
	go func() {
		_, err := conn.Exec(context.Background(), `select prune_transitions('1 day', false)`)
		gone <- err
	}()
	for seq, running := int64(0), true; running; {
		seq++
		commit(t, lease, baseline(seq, u, presence.Online, morning), 1)
		select {
		case err := <-gone:
			running = false
			if !locked(err) {
				t.Errorf("the drop says %v, want a lock that was not to be had", err)
			}
		default:
		}
	}
}

func TestPruneByManyAtOnce(t *testing.T) {
	l, p := openPast(t, 8)
	for ago := 8; ago >= 1; ago-- {
		p.record(app, p.day(ago), 5)
	}
	p.tell(app)
	p.snapshot(app, p.day(0))
	type result struct {
		done Pruned
		err  error
	}
	results := make(chan result)
	for range 4 {
		go func() { done, err := l.Prune(t.Context(), keeping(1), false); results <- result{done, err} }()
	}
	dropped := 0
	for range 4 {
		r := <-results
		if r.err != nil && !locked(r.err) {
			t.Error(r.err)
		}
		for _, d := range r.done.Days {
			if d.Dropped {
				dropped++
			}
		}
	}
	for len(p.kept()) > 1 { // who never got a turn says so; the next one makes up for it
		for _, d := range prune(t, l, keeping(1), false).Days {
			if d.Dropped {
				dropped++
			}
		}
	}
	if dropped != 7 {
		t.Errorf("%d days were said to be dropped, want 7", dropped)
	}
	if got := value[int64](t, p.pool, `select pruned_seq from apps where app_id = $1`, app); got != 35 {
		t.Errorf("pruned up to event %d, want 35", got)
	}
}

// Nobody who may make something in the schema has it run by the tables' owner.
func TestPruneRunsNobodyElsesCode(t *testing.T) {
	l, p := openPast(t, 3)
	p.record(app, p.day(3), 5)
	p.tell(app)
	p.snapshot(app, p.day(0))
	p.record(7, p.day(2), 5) // is held, and so gives all reasons
	execute(t, p.pool, `create table ran (what text)`)
	for _, sql := range []string{
		`create function transitions_held(text) returns table (app_id bigint, first_seq bigint, last_seq bigint, why text) language plpgsql as
			$f$ begin insert into public.ran values ('transitions_held'); end $f$`,
		`create function beside(text, bigint) returns text language plpgsql as
			$f$ begin insert into public.ran values ('||'); return $1; end $f$`,
		`create operator || (leftarg = text, rightarg = bigint, function = beside)`,
	} {
		execute(t, p.pool, sql)
	}
	prune(t, l, keeping(1), false)
	if ran := value[[]string](t, p.pool, `select coalesce(array_agg(distinct what), '{}') from ran`); len(ran) > 0 {
		t.Errorf("the owner ran an intruder's %q", ran)
	}
	if len(p.kept()) != 2 {
		t.Errorf("%v are left", p.kept())
	}
}
