// Package watchlist is the door to the table watched_users: who is to be asked
// about. A sweep reads it through [Watchlist.Users]; people change it through
// the rest. Other programs write the table directly, at any time, also by
// truncate and copy.
//
// It imports presence and pgx. What it keeps:
//
//   - A read for a sweep is one statement with one snapshot: another program's
//     transaction is seen whole or not at all.
//   - A read that ends with an error says nothing about who is missing.
//   - Memory does not grow with the list, in either direction.
//   - An id that ZIM cannot be asked about is never handed to a sweep and never
//     written; it can be listed and removed.
//   - Every statement has a deadline, and none needs a session: a pooler in
//     transaction mode may stand before the database.
package watchlist

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	readTimeout      = 2 * time.Minute  // the whole list, for a sweep
	statementTimeout = 30 * time.Second // anything else
	page             = 5000             // ids in one statement
)

// Watchlist reads and writes the watchlists of all apps. It is safe for
// concurrent use.
type Watchlist struct {
	pool *pgxpool.Pool
}

// New returns the watchlist in the pool's database, whose schema must be up to
// date. The pool stays the caller's.
func New(pool *pgxpool.Pool) *Watchlist {
	return &Watchlist{pool: pool}
}

// Count returns how many ids the app's list has, invalid ones included.
func (w *Watchlist) Count(ctx context.Context, app uint32) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var n int
	err := w.pool.QueryRow(ctx, `select count(*) from watched_users where app_id = $1`, int64(app)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count watchlist of app %d: %w", app, err)
	}
	return n, nil
}
