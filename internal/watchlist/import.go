package watchlist

import (
	"context"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// Imported says what an import did.
type Imported struct {
	Read     int       // entries in the source, invalid ones included
	Added    int       // ids that were not on the list yet; 0 with an error
	Long     int       // valid entries longer than ZIM's usual presence.UsualUserIDBytes
	Invalid  int       // entries that are no valid id
	Examples []Invalid // the first of the invalid, at most 20, with their lines
}

// Import adds every entry of the source to the app's list in one transaction:
// all or nothing, and doing it again changes nothing. With skipInvalid invalid
// entries are left out and counted; without, the source is read to its end to
// find them all, nobody is added, and the error wraps presence.ErrUserID.
// Progress, which may be nil, is called after each page with the counts so far.
//
// A source may take its time: only the statements have deadlines. Two imports
// at once can end one of them with a deadlock error, and an error of the commit
// leaves open whether it happened: doing it again is safe in every case.
func (w *Watchlist) Import(ctx context.Context, app uint32, source iter.Seq2[Entry, error], skipInvalid bool, progress func(Imported)) (Imported, error) {
	tx, err := w.begin(ctx)
	if err != nil {
		return Imported{}, fmt.Errorf("import into the watchlist of app %d: %w", app, err)
	}
	defer rollback(ctx, tx)
	imp := importer{tx: tx, app: app, skipInvalid: skipInvalid, progress: progress}
	if imp.progress == nil {
		imp.progress = func(Imported) {}
	}
	if err := imp.run(ctx, source); err != nil {
		imp.report.Added = 0
		return imp.report, fmt.Errorf("import into the watchlist of app %d: %w", app, err)
	}
	return imp.report, nil
}

// importer is one import under way.
type importer struct {
	tx          pgx.Tx
	app         uint32
	skipInvalid bool
	progress    func(Imported)

	waiting []string // valid ids that are not in the table yet, at most a page
	bad     faults
	report  Imported
}

func (imp *importer) run(ctx context.Context, source iter.Seq2[Entry, error]) error {
	if err := stage(ctx, imp.tx); err != nil {
		return err
	}
	for entry, err := range source {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		imp.take(entry)
		if len(imp.waiting) == page {
			if err := imp.flush(ctx); err != nil {
				return err
			}
		}
	}
	if imp.refused() {
		return fmt.Errorf("%w: %d of %d entries", presence.ErrUserID, imp.bad.count, imp.report.Read)
	}
	if err := imp.flush(ctx); err != nil {
		return err
	}
	return commit(ctx, imp.tx)
}

func (imp *importer) take(entry Entry) {
	imp.report.Read++
	if err := presence.CheckUserID(entry.ID); err != nil {
		imp.bad.add(entry.Line, entry.ID, err)
		imp.report.Invalid, imp.report.Examples = imp.bad.count, imp.bad.examples
		return
	}
	if len(entry.ID) > presence.UsualUserIDBytes {
		imp.report.Long++
	}
	imp.waiting = append(imp.waiting, entry.ID)
}

func (imp *importer) refused() bool { return imp.bad.count > 0 && !imp.skipInvalid }

// flush writes the page that waits; nothing more once the import is refused.
func (imp *importer) flush(ctx context.Context) error {
	if len(imp.waiting) > 0 && !imp.refused() {
		added, err := copyIn(ctx, imp.tx, imp.app, imp.waiting)
		if err != nil {
			return err
		}
		imp.report.Added += added
	}
	imp.waiting = imp.waiting[:0]
	imp.progress(imp.report)
	return nil
}

// stage makes the table that copied ids wait in; it goes with the transaction,
// so a pooler that shares sessions sees nothing of it.
func stage(ctx context.Context, tx pgx.Tx) error {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	_, err := tx.Exec(ctx, `create temporary table imported_ids (user_id text not null) on commit drop`)
	return err
}

// copyIn copies one page and adds whoever is new. The order is that of insert,
// and for the same reason.
func copyIn(ctx context.Context, tx pgx.Tx, app uint32, ids []string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"imported_ids"}, []string{"user_id"},
		pgx.CopyFromSlice(len(ids), func(i int) ([]any, error) { return []any{ids[i]}, nil }))
	if err != nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, `
		insert into watched_users (app_id, user_id)
		select distinct $1::bigint, user_id from imported_ids order by user_id
		on conflict (app_id, user_id) do nothing`, int64(app))
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `truncate imported_ids`)
	return int(tag.RowsAffected()), err
}
