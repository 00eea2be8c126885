package watchlist

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// Row is one line of the list, for people.
type Row struct {
	UserID  string     `json:"user_id"`
	AddedAt time.Time  `json:"added_at"`
	Status  string     `json:"status"` // as last told; unknown when nothing was
	Detail  string     `json:"detail"`
	Since   *time.Time `json:"since"`             // of the status; null when nothing was told
	Invalid string     `json:"invalid,omitempty"` // why ZIM cannot be asked about the id
}

// List yields the app's list in the byte order of the ids, or one error at the
// end. It is read a page at a time, so that a slow reader holds nothing open:
// what changes meanwhile may be seen or not.
func (w *Watchlist) List(ctx context.Context, app uint32) iter.Seq2[Row, error] {
	return pages(func(from string) ([]Row, error) {
		return w.rows(ctx, app, from)
	}, func(r Row) string { return r.UserID })
}

func (w *Watchlist) rows(ctx context.Context, app uint32, from string) ([]Row, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := w.pool.Query(ctx, `
		select w.user_id, w.added_at, coalesce(s.status, 'unknown'), coalesce(s.detail, ''), s.since
		  from watched_users w
		  left join user_states s on s.app_id = w.app_id and s.user_id = w.user_id
		 where w.app_id = $1 and w.user_id >= $2
		 order by w.user_id
		 limit $3`, int64(app), from, page)
	if err != nil {
		return nil, fmt.Errorf("list watchlist of app %d: %w", app, err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Row, err error) {
		err = row.Scan(&r.UserID, &r.AddedAt, &r.Status, &r.Detail, &r.Since)
		if bad := presence.CheckUserID(r.UserID); bad != nil {
			r.Invalid = reason(bad)
		}
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("list watchlist of app %d: %w", app, err)
	}
	return list, nil
}

// pages strings pages together. Read returns up to a page of what stands at
// key or behind it, in order; the first of a page is the last of the page
// before, unless it was removed meanwhile. (Asking for what is greater instead
// would never find the empty key.)
func pages[T any](read func(from string) ([]T, error), key func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		from, first := "", true
		for {
			rows, err := read(from)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, row := range rows {
				if !first && key(row) == from {
					continue
				}
				if !yield(row, nil) {
					return
				}
			}
			if len(rows) < page {
				return
			}
			from, first = key(rows[len(rows)-1]), false
		}
	}
}
