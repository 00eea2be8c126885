package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// Bucket returns what is remembered of the bucket; the zero value for nothing.
func (l *Ledger) Bucket(ctx context.Context) (presence.BucketNote, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var whole, purged *time.Time
	err := l.pool.QueryRow(ctx, `
		select bucket_created, nullif(keys_purged_to, '-infinity')
		  from relay_cursors
		 where app_id = $1`, int64(l.app)).Scan(&whole, &purged)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return presence.BucketNote{}, fmt.Errorf("read what is known of the bucket of app %d: %w", l.app, err)
	}
	var n presence.BucketNote
	if whole != nil {
		n.Whole = whole.UTC()
	}
	if purged != nil {
		n.PurgedTo = purged.UTC()
	}
	return n, nil
}

// SaveBucket remembers it, once a cursor is. Like the cursor it needs no lease:
// what is old or lost costs a look at the bucket, and no more.
func (l *Ledger) SaveBucket(ctx context.Context, n presence.BucketNote) error {
	ctx, cancel := context.WithTimeout(ctx, asideTimeout)
	defer cancel()
	_, err := l.pool.Exec(ctx, `
		update relay_cursors
		   set bucket_created = $2, keys_purged_to = coalesce($3::timestamptz, '-infinity')
		 where app_id = $1`, int64(l.app), orNull(&n.Whole), orNull(&n.PurgedTo))
	if err != nil {
		return fmt.Errorf("save what is known of the bucket of app %d: %w", l.app, err)
	}
	return nil
}

// Keyed counts who has a key in a bucket that lacks nothing: who is online,
// offline or stale, and who was removed at a moment or later; zero for whenever.
func (l *Ledger) Keyed(ctx context.Context, removedSince time.Time) (n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	err = l.pool.QueryRow(ctx, `
		select count(*)
		  from user_states
		 where app_id = $1 and last_seq > 0 and (status <> 'unknown' or stale or since >= coalesce($2, '-infinity'::timestamptz))`,
		int64(l.app), orNull(&removedSince)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the users of app %d who have a key: %w", l.app, err)
	}
	return n, nil
}

// EachKnown yields the id of everybody who is online or offline and whose last
// event is not behind a number. Who is stale is not among them: there is nothing to
// tell of them again. The first error of yield ends it.
func (l *Ledger) EachKnown(ctx context.Context, upTo int64, yield func(id string) error) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	rows, err := l.pool.Query(ctx, `
		select user_id
		  from user_states
		 where app_id = $1 and status <> 'unknown' and last_seq <= $2`, int64(l.app), upTo)
	if err != nil {
		return fmt.Errorf("read the known users of app %d: %w", l.app, err)
	}
	var id string
	if _, err = pgx.ForEachRow(rows, []any{&id}, func() error { return yield(id) }); err != nil {
		return fmt.Errorf("read the known users of app %d: %w", l.app, err)
	}
	return nil
}

// Removed returns users who were removed from the watchlist at or after one
// moment and before another and have not come back, since when, and with their
// last event: those with a number behind no, by number, at most limit of them.
func (l *Ledger) Removed(ctx context.Context, from, to time.Time, no uint32, limit int) ([]presence.State, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	rows, err := l.pool.Query(ctx, `
		select user_no, user_id, since, last_seq
		  from user_states
		 where app_id = $1 and user_no > $2 and not watched and status = 'unknown' and last_seq > 0
		   and since >= coalesce($3, '-infinity'::timestamptz) and since < $4
		 order by user_no
		 limit $5`, int64(l.app), int32(no), orNull(&from), to, limit)
	if err != nil {
		return nil, fmt.Errorf("read the removed users of app %d: %w", l.app, err)
	}
	states, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (presence.State, error) {
		var s presence.State
		err := row.Scan(&s.User.No, &s.User.ID, &s.Since, &s.LastSeq)
		s.Since = s.Since.UTC()
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the removed users of app %d: %w", l.app, err)
	}
	return states, nil
}
