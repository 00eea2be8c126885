package watchlist

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// Exported says what an export wrote.
type Exported struct {
	Written int // ids
	Invalid int // ids left out, since no import would take them
}

// Export writes the valid ids of the app's list to out, one a line, in byte
// order; in the format csv below a header. [Read] reads it back. It is read a
// page at a time, so that a slow reader holds nothing open: what changes
// meanwhile may be in it or not. Progress, which may be nil, is called after
// each page with the counts so far.
func (w *Watchlist) Export(ctx context.Context, app uint32, out io.Writer, format Format, progress func(Exported)) (Exported, error) {
	var report Exported
	buf := bufio.NewWriterSize(out, 1<<16)
	if format == CSV {
		fmt.Fprintln(buf, defaultColumn)
	}
	ids := pages(func(from string) ([]string, error) {
		if progress != nil {
			progress(report)
		}
		return w.ids(ctx, app, from)
	}, func(id string) string { return id })
	for id, err := range ids {
		if err != nil {
			return report, fmt.Errorf("export watchlist of app %d: %w", app, err)
		}
		if presence.CheckUserID(id) != nil {
			report.Invalid++
			continue
		}
		report.Written++
		// No legal character of an id needs quotes in csv.
		if _, err := buf.WriteString(id + "\n"); err != nil {
			return report, fmt.Errorf("export watchlist of app %d: %w", app, err)
		}
	}
	if err := buf.Flush(); err != nil {
		return report, fmt.Errorf("export watchlist of app %d: %w", app, err)
	}
	return report, nil
}

func (w *Watchlist) ids(ctx context.Context, app uint32, from string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := w.pool.Query(ctx, `
		select user_id from watched_users where app_id = $1 and user_id >= $2 order by user_id limit $3`, int64(app), from, page)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
