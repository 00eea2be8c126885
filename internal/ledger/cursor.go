package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// Cursor returns how far the ledger has been told; the zero value for not at all.
func (l *Ledger) Cursor(ctx context.Context) (presence.Cursor, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var c presence.Cursor
	var streamSeq int64
	err := l.pool.QueryRow(ctx, `
		select told_seq, stream_seq, stream_created, recorded_at
		  from relay_cursors
		 where app_id = $1`, int64(l.app)).Scan(&c.Seq, &streamSeq, &c.StreamCreated, &c.RecordedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return presence.Cursor{}, nil
	}
	if err != nil {
		return presence.Cursor{}, fmt.Errorf("read the relay's cursor of app %d: %w", l.app, err)
	}
	c.StreamSeq, c.StreamCreated, c.RecordedAt = uint64(streamSeq), c.StreamCreated.UTC(), c.RecordedAt.UTC()
	return c, nil
}

const saveCursorSQL = `
insert into relay_cursors (app_id, told_seq, stream_seq, stream_created, recorded_at)
values ($1, $2, $3, $4, $5)
on conflict (app_id) do update
   set told_seq = excluded.told_seq, stream_seq = excluded.stream_seq, stream_created = excluded.stream_created,
       recorded_at = excluded.recorded_at, saved_at = now()`

// SaveCursor remembers how far the ledger has been told. It needs no lease: the
// stream's own end goes before it, so an old value does no harm.
func (l *Ledger) SaveCursor(ctx context.Context, c presence.Cursor) error {
	ctx, cancel := context.WithTimeout(ctx, asideTimeout)
	defer cancel()
	_, err := l.pool.Exec(ctx, saveCursorSQL,
		int64(l.app), c.Seq, int64(c.StreamSeq), c.StreamCreated, c.RecordedAt)
	if err != nil {
		return fmt.Errorf("save the relay's cursor of app %d: %w", l.app, err)
	}
	return nil
}
