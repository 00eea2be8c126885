package ledger

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/presence"
)

// A session that answers is not enough: a holder whose epoch was taken while its
// session lives stops within the second that the taker waits, not only at its
// next renewal, which here is minutes away.
func TestPingFindsTheTaker(t *testing.T) {
	l, pool := open(t)
	long := terms
	long.TTL = 10 * time.Minute
	lease, err := l.TryAcquire(t.Context(), long)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release(context.Background(), time.Time{})
	execute(t, pool, `update apps set epoch = epoch + 1 where app_id = $1`, app)
	taken := time.Now()
	eventually(t, "the holder stops without its epoch", func() bool { return lease.Allow(t.Context()) != nil })
	lostWithin(t, lease)
	lease.mu.Lock()
	defer lease.mu.Unlock()
	if deadline := lease.pinged.mono; deadline.After(taken.Add(silence)) {
		t.Errorf("it could have sent until %s behind the taking, want %s at most", deadline.Sub(taken), silence)
	}
}

// A failover can bring another clock: where the session is gone, the lease may
// have expired by that clock alone, and its holder lives.
func TestGoneCountsBeforeExpired(t *testing.T) {
	l, pool := open(t)
	win(t, l)
	execute(t, pool, `
		update apps
		   set expires_at = clock_timestamp() - interval '1 ms', session_start = session_start - interval '1 s'
		 where app_id = $1`, app)
	wantWait(t, l, terms.Window+silence)
}

// Who waits for an answer of a session that is then replaced by one that cannot
// be named goes on.
func TestAllowGoesOnWhenNoSessionIsNamedAnyLonger(t *testing.T) {
	l := &Lease{terms: terms, now: readClocks, lost: make(chan struct{}), heard: make(chan struct{})}
	l.extend(clocksAt(time.Now().Add(-2*silence)), true)
	allowed := make(chan error)
	go func() { allowed <- l.Allow(t.Context()) }()
	eventually(t, "Allow waits", func() bool { return inStack("(*Lease).Allow") })
	l.extend(readClocks(), false)
	select {
	case err := <-allowed:
		if err != nil {
			t.Errorf("Allow = %v, want nil", err)
		}
	case <-time.After(until):
		t.Error("Allow waits for a session that nobody pings")
	}
}

// What While has begun is over when its function returns.
func TestWhileLeavesNothing(t *testing.T) {
	lease := &Lease{now: readClocks, until: readClocks().after(time.Hour), lost: make(chan struct{}), heard: make(chan struct{})}
	for range 100 {
		_, free := lease.While(t.Context())
		free()
		if inStack("(*Lease).While") {
			t.Fatal("a goroutine of While runs on")
		}
	}
}

// inStack tells whether any goroutine is in a function of that name.
func inStack(function string) bool {
	buf := make([]byte, 1<<20)
	stacks := string(buf[:runtime.Stack(buf, true)])
	for line := range strings.Lines(stacks) {
		if strings.Contains(line, function) && !strings.HasPrefix(line, "created by ") {
			return true
		}
	}
	return false
}

// A snapshot of the last holder that lands while another takes the lease: its
// number is known to be used, though the taker's statement cannot see the row.
func TestTakerKnowsTheSweepOfASnapshotInFlight(t *testing.T) {
	l, pool := open(t)
	first := win(t, l)
	gate, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Rollback(context.Background())
	// A row of the same key holds the snapshot up when it has the app's row already.
	_, err = gate.Exec(t.Context(), `
		insert into snapshots (app_id, sweep, started, finished, seq, watched, seen, missed_count, transitions, requests, online, known, missed)
		values ($1, 7, now(), now(), 0, 0, 0, 0, 0, 0, '', '', '{}')`, app)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, pool, `update apps set session_pid = 0, expires_at = clock_timestamp() where app_id = $1`, app)
	saved := make(chan error)
	go func() {
		saved <- first.SaveSnapshot(t.Context(), presence.Snapshot{Sweep: 7, Started: morning, Finished: morning, Online: []byte{}, Known: []byte{}})
	}()
	waiting(t, pool, 1)
	type taken struct {
		lease *Lease
		err   error
	}
	took := make(chan taken)
	go func() {
		lease, err := l.TryAcquire(t.Context(), terms)
		took <- taken{lease, err}
	}()
	waiting(t, pool, 2)
	if err := gate.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-saved; err != nil {
		t.Fatal(err)
	}
	second := <-took
	if second.err != nil {
		t.Fatal(second.err)
	}
	defer second.lease.Release(context.Background(), time.Time{})
	if got := second.lease.LastSweep(); got != 7 {
		t.Errorf("the taker believes that the newest sweep is %d, want 7", got)
	}
}

// waiting returns when so many sessions wait for locks in the pool's database.
func waiting(t *testing.T, pool *pgxpool.Pool, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d sessions wait for a lock", n), func() bool {
		return value[int](t, pool, `
			select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`) >= n
	})
}

// Behind a pooler no session is named: it is the pooler's, and may end while its
// user of the moment lives. Over its Unix socket there are no ports to compare.
func TestSessionOfAPoolerIsNotNamed(t *testing.T) {
	_, direct := open(t)
	pooler := localtest.NewPooler(t, direct.Config().ConnString())
	for name, dsn := range map[string]string{"tcp": pooler.DSN(), "unix": pooler.SocketDSN()} {
		t.Run(name, func(t *testing.T) {
			settings, err := pgxpool.ParseConfig(dsn + "&default_query_exec_mode=cache_describe")
			if err != nil {
				t.Fatal(err)
			}
			pool, err := pgxpool.NewWithConfig(t.Context(), settings)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			lease, err := New(pool, app, zerolog.Nop()).TryAcquire(t.Context(), terms)
			if err != nil {
				t.Fatal(err)
			}
			defer lease.Release(context.Background(), time.Time{})
			if pid := value[*int](t, direct, `select session_pid from apps where app_id = $1`, app); pid != nil {
				t.Errorf("session %d is named", *pid)
			}
			if lease.sessionNamed() {
				t.Error("the lease believes that its session is named")
			}
		})
	}
}
