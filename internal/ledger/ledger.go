// Package ledger is the door to what the poller keeps in Postgres: the ledger
// of events, the state that they lead to, the snapshots, and the lease that
// decides who writes them. It imports presence and pgx.
//
// What it stores, one app each (the columns are told in the schema itself):
//
//	apps           the lease, its epoch, and the counters seq, sweep and user_no
//	user_states    one row a user: the result of its events
//	held_changes   one row a change that waits to be confirmed
//	transitions    the ledger, partitioned by day of recorded_at
//	snapshots      one row a complete sweep
//	relay_cursors  how far the ledger has been told
//
// and beside them the register of replicas, one row a daemon.
//
// The invariants that it keeps:
//
//   - Every write but the cursor's and the register's names the epoch of the
//     lease under which it is made, under the lock of the app's row. When
//     somebody else has won the lease meanwhile it touches nothing, and the
//     error is [ErrFenced]. What is past its age is dropped without a lease, by
//     functions of the database that keep what is needed: [Ledger.Prune].
//   - seq is gapless: it moves in the transaction that inserts the rows, under
//     that same lock; so do user_no and recorded_at, which never runs backwards.
//   - A commit is one statement, hence one transaction. When it answers with an
//     error its outcome is unknown: the caller drops what it has in memory,
//     wins the lease again, and loads the state again.
//   - [Past] writes nothing, and passes over no hole in silence.
package ledger

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/presence"
)

// The deadlines of statements, but for writes under a lease, which the lease's TTL
// bounds. pgx has a statement that is given up cancelled at the server. Where that
// cannot be reached it may run, or land, later; the epoch decides what becomes of it.
const (
	readTimeout  = 10 * time.Second
	asideTimeout = 3 * time.Second // of what the end of the program waits for
	takeTimeout  = 3 * time.Second // of taking a lease: a row that stays locked has to show
	loadTimeout  = 2 * time.Minute
)

// ErrFenced says that a write was not made because the lease under which it was
// to be made is no longer the current one.
var ErrFenced = errors.New("another holder has won the lease")

// Ledger is the ledger of one app.
type Ledger struct {
	pool *pgxpool.Pool
	app  uint32
	log  zerolog.Logger
	// near is the newest event that was read one by one: a later one was recorded
	// no earlier, which spares the planner all partitions before.
	near atomic.Pointer[presence.Event]
}

// New returns the ledger of app on a migrated database.
func New(pool *pgxpool.Pool, app uint32, log zerolog.Logger) *Ledger {
	return &Ledger{pool: pool, app: app, log: log.With().Uint32("app", app).Logger()}
}
