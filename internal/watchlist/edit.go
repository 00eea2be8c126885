package watchlist

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// Add puts ids on the app's list and returns how many were not there yet. All
// or none: an invalid id adds nobody, and its error wraps presence.ErrUserID.
func (w *Watchlist) Add(ctx context.Context, app uint32, ids []string) (int, error) {
	for _, id := range ids {
		if err := presence.CheckUserID(id); err != nil {
			return 0, fmt.Errorf("watch %s: %w", quote(id), err)
		}
	}
	added, err := w.inPages(ctx, ids, func(ctx context.Context, tx pgx.Tx, ids []string) (int, error) {
		return insert(ctx, tx, app, ids)
	})
	if err != nil {
		return 0, fmt.Errorf("add %d ids to the watchlist of app %d: %w", len(ids), app, err)
	}
	return added, nil
}

// Remove takes ids off the app's list and returns how many were there. All or
// none; invalid ids may be removed as well.
func (w *Watchlist) Remove(ctx context.Context, app uint32, ids []string) (int, error) {
	removed, err := w.inPages(ctx, ids, func(ctx context.Context, tx pgx.Tx, ids []string) (int, error) {
		return remove(ctx, tx, app, ids)
	})
	if err != nil {
		return 0, fmt.Errorf("remove %d ids from the watchlist of app %d: %w", len(ids), app, err)
	}
	return removed, nil
}

// inPages does one thing to all ids in one transaction and returns the sum of
// the rows. Every statement has its deadline, the ids together have none.
func (w *Watchlist) inPages(ctx context.Context, ids []string, do func(context.Context, pgx.Tx, []string) (int, error)) (rows int, err error) {
	tx, err := w.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer rollback(ctx, tx)
	for ids := range slices.Chunk(ids, page) {
		n, err := do(ctx, tx, ids)
		if err != nil {
			return 0, err
		}
		rows += n
	}
	return rows, commit(ctx, tx)
}

// insert adds one page. The order lets two programs that add the same ids wait
// for each other instead of dying in a deadlock.
func insert(ctx context.Context, tx pgx.Tx, app uint32, ids []string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	tag, err := tx.Exec(ctx, `
		insert into watched_users (app_id, user_id)
		select distinct $1::bigint, id from unnest($2::text[]) as id order by id
		on conflict (app_id, user_id) do nothing`, int64(app), ids)
	return int(tag.RowsAffected()), err
}

func remove(ctx context.Context, tx pgx.Tx, app uint32, ids []string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	tag, err := tx.Exec(ctx, `delete from watched_users where app_id = $1 and user_id = any($2::text[])`, int64(app), ids)
	return int(tag.RowsAffected()), err
}

func (w *Watchlist) begin(ctx context.Context) (pgx.Tx, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	return w.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
}

func commit(ctx context.Context, tx pgx.Tx) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}
