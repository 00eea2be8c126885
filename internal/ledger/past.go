package ledger

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Past reads what was recorded, and writes nothing. It needs no lease.
type Past struct {
	ledger *Ledger
	db     querier
}

// querier is a pool, or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Past returns reads each of which sees what is committed when it is made.
// Between two of them retention, an adoption or an erasure may change anything;
// whoever needs the truth of one moment reads in [Ledger.View].
func (l *Ledger) Past() *Past { return &Past{ledger: l, db: l.pool} }

// View does work with reads that all see one moment. While it lasts no partition
// of the ledger can be dropped, so work only reads: what it prints it prints
// afterwards. The error is that of work, as it is.
func (l *Ledger) View(ctx context.Context, work func(*Past) error) error {
	tx, err := l.beginView(ctx)
	if err != nil {
		return fmt.Errorf("begin to read the past of app %d: %w", l.app, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), asideTimeout)
		defer cancel()
		_ = tx.Rollback(ctx) // nothing was written
	}()
	return work(&Past{ledger: l, db: tx})
}

// beginView locks first, and then takes the snapshot, which is that of the first
// read. The other way round a partition that is dropped in between would be
// missing, while the app's row still says that it is there.
func (l *Ledger) beginView(ctx context.Context) (pgx.Tx, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	tx, err := l.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, `lock table transitions in access share mode`); err != nil {
		_ = tx.Rollback(ctx) // a connection that cannot roll back is closed, which is a rollback
		return nil, err
	}
	return tx, nil
}
