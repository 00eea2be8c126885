package ledger

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/migrations"
)

// until is how long a test waits for what is bound to come.
const until = 30 * time.Second

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(until)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for: %s", until, what)
		}
		<-tick.C
	}
}

// wantWait takes the lease and wants that its taker waits so long, from a moment
// within the taking on.
func wantWait(t *testing.T, l *Ledger, want time.Duration) *Lease {
	t.Helper()
	before := time.Now()
	lease := win(t, l)
	after := time.Now()
	if at := lease.NotBefore(); at.Before(before.Add(want)) || at.After(after.Add(want)) {
		t.Errorf("the taker waits %s from before the taking, %s from behind it, want %s", at.Sub(before), at.Sub(after), want)
	}
	return lease
}

func lostWithin(t *testing.T, lease *Lease) {
	t.Helper()
	ctx, cancel := lease.While(t.Context())
	defer cancel()
	select {
	case <-ctx.Done():
		if cause := context.Cause(ctx); !errors.Is(cause, ErrLeaseLost) {
			t.Errorf("the lease's context ended with %v, want ErrLeaseLost", cause)
		}
	case <-time.After(until):
		t.Fatal("the lease was not lost")
	}
	if err := lease.Allow(t.Context()); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("Allow after the loss = %v, want ErrLeaseLost", err)
	}
}

func TestLeaseIsHeldByOne(t *testing.T) {
	l, _ := open(t)
	first := win(t, l)
	if err := first.Allow(t.Context()); err != nil {
		t.Errorf("Allow = %v, want nil", err)
	}
	var held *HeldError
	if _, err := l.TryAcquire(t.Context(), terms); !errors.As(err, &held) || held.Owner != "test" || held.Expires <= 0 {
		t.Errorf("second taker: %v, want held by test", err)
	}
}

func TestReleasedLeaseIsFreeWhenItsBudgetIs(t *testing.T) {
	l, _ := open(t)
	first := win(t, l)
	if wait := time.Until(first.NotBefore()); wait > 0 {
		t.Errorf("first holder waits %s, want 0", wait)
	}
	free := time.Now().Add(4 * time.Minute)
	if err := first.Release(t.Context(), free); err != nil {
		t.Fatal(err)
	}
	second := win(t, l)
	// The time is counted by the database from when it got to know.
	if at := second.NotBefore(); at.Before(free.Add(-time.Minute)) || at.After(free.Add(time.Minute)) {
		t.Errorf("the second holder waits until %s, want until about %s", at, free)
	}
	if second.Epoch() != first.Epoch()+1 {
		t.Errorf("epoch %d follows %d", second.Epoch(), first.Epoch())
	}
}

func TestExpiredLeaseIsTakenAfterAWindow(t *testing.T) {
	l, pool := open(t)
	first := win(t, l)
	execute(t, pool, `update apps set expires_at = clock_timestamp() - interval '1 ms' where app_id = $1`, app)
	wantWait(t, l, terms.Window)
	first.mu.Lock()
	first.until = readClocks() // as it would have been
	first.mu.Unlock()
	lostWithin(t, first)
}

// A holder whose session is gone may live. So the taker waits a second longer
// than the holder may go on, and the holder finds out.
func TestLeaseOfAGoneSessionIsTakenEarly(t *testing.T) {
	l, pool := open(t)
	first := win(t, l)
	pid := value[int](t, pool, `select session_pid from apps where app_id = $1`, app)
	// The holder may not come back before the other has it.
	execute(t, pool, `update apps set session_start = session_start - interval '1 s' where app_id = $1`, app)
	second := wantWait(t, l, terms.Window+silence)
	execute(t, pool, `select pg_terminate_backend($1)`, pid)
	lostWithin(t, first)
	if err := second.Allow(t.Context()); err != nil {
		t.Errorf("the second's Allow = %v, want nil", err)
	}
}

// A session that dies without anybody taking the lease is replaced in the row.
func TestHolderNamesANewSession(t *testing.T) {
	l, pool := open(t)
	lease := win(t, l)
	pid := value[int](t, pool, `select session_pid from apps where app_id = $1`, app)
	execute(t, pool, `select pg_terminate_backend($1)`, pid)
	eventually(t, "the holder names a new session", func() bool {
		return value[int](t, pool, `select coalesce(session_pid, 0) from apps where app_id = $1`, app) != pid
	})
	if err := lease.Allow(t.Context()); err != nil {
		t.Errorf("Allow with a new session = %v, want nil", err)
	}
	if epoch := value[int64](t, pool, `select epoch from apps where app_id = $1`, app); epoch != lease.Epoch() {
		t.Errorf("epoch %d, want %d: nobody else has won", epoch, lease.Epoch())
	}
}

// While pings go unanswered nothing may be sent, though the TTL still holds.
func TestSilentSessionHoldsRequestsBack(t *testing.T) {
	l, _ := open(t)
	lease := win(t, l)
	lease.stop() // no more pings
	<-lease.kept
	closeConn(lease.conn)
	lease.mu.Lock()
	lease.pinged = readClocks()
	lease.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := lease.Allow(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Allow in silence = %v, want it to wait", err)
	}
	allowed := make(chan error)
	go func() { allowed <- lease.Allow(t.Context()) }()
	lease.mu.Lock()
	lease.hear(readClocks())
	lease.mu.Unlock()
	if err := <-allowed; err != nil {
		t.Errorf("Allow after an answer = %v, want nil", err)
	}
}

func TestRenewalOutlivesTheTTL(t *testing.T) {
	l, pool := open(t)
	short := terms
	short.TTL = time.Second
	lease, err := l.TryAcquire(t.Context(), short)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release(context.Background(), time.Time{})
	first := value[time.Time](t, pool, `select expires_at from apps where app_id = $1`, app)
	eventually(t, "the lease is renewed", func() bool {
		return value[bool](t, pool, `select clock_timestamp() > $2 and expires_at > $2 from apps where app_id = $1`, app, first)
	})
	if err := lease.Allow(t.Context()); err != nil {
		t.Errorf("Allow after the first TTL = %v, want nil", err)
	}
}

// A database that stops and comes back is waited for; a lease that was held
// meanwhile goes on if its TTL has.
func TestLeaseSurvivesARestartOfTheDatabase(t *testing.T) {
	server := localtest.PostgresServer(t)
	if _, err := migrations.Up(t.Context(), server.DSN()); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	l := New(pool, app, zerolog.Nop())
	long := terms
	long.TTL = time.Minute
	lease, err := l.TryAcquire(t.Context(), long)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release(context.Background(), time.Time{})
	server.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 2*silence)
	defer cancel()
	eventually(t, "Allow refuses", func() bool { err = lease.Allow(ctx); return err != nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Allow without a database = %v, want it to wait", err)
	}
	server.Start()
	if err := lease.Allow(t.Context()); err != nil {
		t.Errorf("Allow after the restart = %v, want nil", err)
	}
}
