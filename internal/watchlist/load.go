package watchlist

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// Loaded says what a reading of the list found.
type Loaded struct {
	Users    int       // ids that were yielded
	Long     int       // of these, longer than ZIM's usual presence.UsualUserIDBytes
	Invalid  int       // ids that ZIM cannot be asked about; not yielded
	Examples []Invalid // the first of the invalid, at most 20
}

// Users yields every valid id of the app's list once, in no order. The bytes
// are valid during the call of yield only. An error of yield ends the reading
// and is returned as it is.
//
// The list is one statement's snapshot: a concurrent transaction that empties
// and fills the table is seen before or after, never between. On an error the
// yielded ids are a part of the list only: the caller must not conclude that
// anybody was removed from it. The whole reading, yield included, ends with an
// error after two minutes.
func (w *Watchlist) Users(ctx context.Context, app uint32, yield func(id []byte) error) (Loaded, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	// Read committed, said aloud because the database's default may be another:
	// there the snapshot is taken after the table's lock. A repeatable read
	// has its snapshot before and would find the table empty when a truncate
	// committed while it waited for the lock: truncate ignores older snapshots.
	tx, err := w.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadOnly})
	if err != nil {
		return Loaded{}, fmt.Errorf("read watchlist of app %d: %w", app, err)
	}
	defer rollback(ctx, tx)
	loaded, stopped, err := readUsers(ctx, tx, app, yield)
	if stopped != nil {
		return loaded, stopped
	}
	if err != nil {
		return loaded, fmt.Errorf("read watchlist of app %d: after %d ids: %w", app, loaded.Users, err)
	}
	return loaded, nil
}

func readUsers(ctx context.Context, tx pgx.Tx, app uint32, yield func([]byte) error) (loaded Loaded, stopped, err error) {
	// The server's own deadline frees it also from a client that has died.
	timeout := strconv.FormatInt(readTimeout.Milliseconds(), 10)
	if _, err := tx.Exec(ctx, `select set_config('statement_timeout', $1, true)`, timeout); err != nil {
		return loaded, nil, err
	}
	rows, err := tx.Query(ctx, `select user_id from watched_users where app_id = $1`, int64(app))
	if err != nil {
		return loaded, nil, err
	}
	defer rows.Close()
	var bad faults
	for rows.Next() {
		id := rows.RawValues()[0]
		if err := presence.CheckUserID(string(id)); err != nil {
			bad.add(0, string(id), err)
			continue
		}
		if len(id) > presence.UsualUserIDBytes {
			loaded.Long++
		}
		if err := yield(id); err != nil {
			return loaded, err, nil
		}
		loaded.Users++
	}
	loaded.Invalid, loaded.Examples = bad.count, bad.examples
	return loaded, nil, rows.Err()
}

// rollback ends a transaction also after ctx has ended, so that the connection
// can be used again; after a commit it does nothing.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = tx.Rollback(ctx) // a connection that cannot roll back is closed, which is a rollback
}
