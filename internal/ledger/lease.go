package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
)

// The lease of an app says who may poll and write. It is a row; a session lock
// would be lost behind a pooler, and believed after its session died.
//
//	        acquire                   renew every TTL/3       release
//	free ─────────────→ held(epoch n) ───────────────→ held ───────────→ free
//	                        │ expired, or the named session is gone
//	                        └────────────→ held(epoch n+1) by another
//
// The holder may send until the earlier of two moments, both by its own clocks,
// the monotonic and the wall's: the TTL behind its last renewal, less a margin;
// and, when the row names its database session, one second behind the last ping
// that the session answered, with the epoch that it still found there. A taker
// therefore waits: one rate window when the lease had expired, a second more
// when the session was gone, since its holder may live, and until the
// budget_free_at of the row when the lease had been released.
const (
	pingEvery = 500 * time.Millisecond
	// silence is how long a session may leave pings unanswered before its
	// holder stops, and so what a taker adds to its wait.
	silence = time.Second
)

// ErrLeaseLost says that the lease has ended without being released.
var ErrLeaseLost = errors.New("lease lost")

// HeldError says that another process holds the lease.
type HeldError struct {
	App   uint32
	Owner string
	// Expires is how long the lease is still good for if its holder has died.
	Expires time.Duration
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("app %d is being polled by %s, which holds its lease and renews it (good for another %s)",
		e.App, e.Owner, e.Expires.Round(100*time.Millisecond))
}

// Terms are the conditions of a lease.
type Terms struct {
	// Owner names the holder, for people. It should be different for each process.
	Owner string
	// TTL is how long the lease outlives its last renewal; at least a second.
	TTL time.Duration
	// Window is the rate window that a taker waits after a holder who has not
	// said when the budget is free.
	Window time.Duration
}

// Lease is a lease that has been won. One goroutine at a time writes with it;
// [Lease.Allow] may be called by any.
type Lease struct {
	ledger *Ledger
	terms  Terms
	log    zerolog.Logger

	epoch      int64
	lastSeq    int64
	lastSweep  int64
	lastUserNo int32
	events     string // the log that names them
	// notBefore is when the budget of earlier holders is free.
	notBefore time.Time

	stop context.CancelFunc // ends keep
	kept chan struct{}      // closed when keep has returned
	conn *pgx.Conn          // what keep leaves behind
	lost chan struct{}      // closed by keep when the lease is lost

	now func() clocks

	mu     sync.Mutex    // guards all below
	until  clocks        // deadline by the TTL
	pinged clocks        // deadline by the session; zero when none is named
	heard  chan struct{} // closed, and made anew, when one of the two has moved
}

// TryAcquire takes the lease if it is free, has expired, or was left by a
// session that is gone; else the error is a [*HeldError].
func (l *Ledger) TryAcquire(ctx context.Context, terms Terms) (*Lease, error) {
	conn, err := l.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("take the lease of app %d: %w", l.app, err)
	}
	lease, err := l.take(ctx, conn, terms)
	if err != nil {
		closeConn(conn)
		return nil, err
	}
	return lease, nil
}

// Epoch returns the number under which the lease writes.
func (l *Lease) Epoch() int64 { return l.epoch }

// Log returns the log of the app's events, as it was when the lease was won; "" of a
// lease that was seized.
func (l *Lease) Log() string { return l.events }

// LastSeq returns the ledger's newest event when the lease was won, or that of
// the last commit since.
func (l *Lease) LastSeq() int64 { return l.lastSeq }

// LastSweep returns the newest sweep that left anything in the ledger when the
// lease was won.
func (l *Lease) LastSweep() int64 { return l.lastSweep }

// NotBefore returns when the budget that earlier holders spent is free again:
// no request may leave sooner.
func (l *Lease) NotBefore() time.Time { return l.notBefore }

// While returns a context that ends with ctx, or when the lease is lost or has run
// out by our own clocks, whose cause is [ErrLeaseLost] then. The returned function
// ends it, and returns when nothing of it is left.
func (l *Lease) While(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		for ctx.Err() == nil {
			left, heard := l.left()
			if left <= 0 {
				cancel(ErrLeaseLost)
				return
			}
			timer := time.NewTimer(left)
			select {
			case <-timer.C:
			case <-heard:
			case <-l.lost:
				cancel(ErrLeaseLost)
			case <-ctx.Done():
			}
			timer.Stop()
		}
	})
	return ctx, func() {
		cancel(context.Canceled)
		watching.Wait()
	}
}

// Allow returns nil when a request may leave at this moment. While the lease's
// session leaves pings unanswered it waits. [ErrLeaseLost] when the lease has
// ended, or the cause of ctx.
func (l *Lease) Allow(ctx context.Context) error {
	for {
		good, ended, heard := l.judge()
		switch {
		case ended:
			return ErrLeaseLost
		case good:
			return nil
		}
		select {
		case <-heard:
		case <-l.lost:
			return ErrLeaseLost
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Good tells whether a request may leave at this moment, as [Lease.Allow] does
// but without waiting.
func (l *Lease) Good() bool {
	good, _, _ := l.judge()
	return good
}

// judge tells whether a request may leave, whether none may any more, and what
// tells of a sign of life of the session.
func (l *Lease) judge() (good, ended bool, heard <-chan struct{}) {
	select {
	case <-l.lost:
		return false, true, nil
	default:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.until.reached(now) {
		return false, true, nil
	}
	return l.pinged.isZero() || !l.pinged.reached(now), false, l.heard
}

// left returns for how long the lease is good without a further renewal, and what
// tells of one.
func (l *Lease) left() (time.Duration, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until.since(l.now()), l.heard
}

// Release gives the lease back; freeAt, by the caller's clock, is when the next
// holder may begin to send (zero: now). It returns when the lease's goroutine
// has ended. A lease that was lost already is only put down. When the database
// does not answer, the error says so and the lease expires by itself.
func (l *Lease) Release(ctx context.Context, freeAt time.Time) error {
	l.stop()
	<-l.kept
	defer func() { closeConn(l.conn) }()
	ctx, cancel := context.WithTimeout(ctx, asideTimeout)
	defer cancel()
	free := time.Duration(0)
	if !freeAt.IsZero() {
		free = max(0, time.Until(freeAt))
	}
	const sql = `
		update apps
		   set owner = null, expires_at = null, session_pid = null, session_start = null,
		       budget_free_at = greatest(budget_free_at, clock_timestamp() + $3)
		 where app_id = $1 and epoch = $2 and owner = $4`
	args := []any{int64(l.ledger.app), l.epoch, free, l.terms.Owner}
	// On the session that the row names, while it stands: without it others would
	// take the lease for left behind, and wait longer.
	err := errors.ErrUnsupported
	if !l.conn.IsClosed() {
		_, err = l.conn.Exec(ctx, sql, args...)
	}
	if err != nil {
		_, err = l.ledger.pool.Exec(ctx, sql, args...)
	}
	if err != nil {
		return fmt.Errorf("release the lease of app %d: %w", l.ledger.app, err)
	}
	return nil
}
