package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

const (
	// readTimeout bounds the reading of the database: a whole ledger goes through it.
	readTimeout = time.Hour
	// asideTimeout bounds a statement that reads little, and the end of the reading.
	asideTimeout = time.Minute
)

// kept is what the database says besides the events, as of one moment.
type kept struct {
	tx pgx.Tx // while it is read

	lastSeq, pruned int64
	end             int64      // of the range
	recorded        *time.Time // of the newest commit, as the app counts it
	userNo          int64      // the highest that was given
	gaps            presence.SeqSet
	gone            *roaring.Bitmap // numbers of users who were erased
	cursor          cursor

	fold      *fold
	snapshots []snapshot
	next      int // of the snapshots
	sweep     sweepCount
}

// cursor is what the database says of the stream and of the bucket.
type cursor struct {
	told, streamSeq int64
	created         time.Time // the stream
	whole           time.Time // made: the bucket that was seen to have everybody
}

// readDatabase holds what is in the database against itself.
func (it *inspection) readDatabase(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	tx, err := it.DB.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), asideTimeout)
		defer cancel()
		_ = tx.Rollback(ctx) // nothing was written
	}()
	it.kept.tx = tx
	// Before anything is read: the end of a partition that is dropped meanwhile would be seen, whatever is said in apps.
	if _, err := tx.Exec(ctx, `lock table transitions in access share mode`); err != nil {
		return err
	}
	for _, part := range []struct {
		of   string
		read func(context.Context) error
	}{
		{"counters", it.readApp}, {"accepted gaps", it.readGaps}, {"erasures", it.readErasures}, {"cursor", it.readCursor},
		{"bounds", it.bounds}, {"snapshots", it.readSnapshots}, {"ledger", it.readLedger}, {"state", it.readState},
		{"held changes", it.readHeld},
	} {
		if err := part.read(ctx); err != nil {
			return fmt.Errorf("read the %s: %w", part.of, err)
		}
	}
	return nil
}

func (it *inspection) readApp(ctx context.Context) error {
	k := &it.kept
	err := k.tx.QueryRow(ctx, `
		select last_seq, pruned_seq, nullif(last_recorded_at, '-infinity'), last_user_no
		  from apps
		 where app_id = $1`, int64(it.App)).Scan(&k.lastSeq, &k.pruned, &k.recorded, &k.userNo)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

func (it *inspection) readGaps(ctx context.Context) error {
	rows, err := it.kept.tx.Query(ctx, `select first_seq, last_seq from gaps where app_id = $1`, int64(it.App))
	if err != nil {
		return err
	}
	runs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[presence.SeqRange])
	it.kept.gaps = presence.NewSeqSet(runs...)
	return err
}

func (it *inspection) readErasures(ctx context.Context) error {
	it.kept.gone = roaring.New()
	rows, err := it.kept.tx.Query(ctx, `select user_no from erasures where app_id = $1`, int64(it.App))
	if err != nil {
		return err
	}
	var no uint32
	_, err = pgx.ForEachRow(rows, []any{&no}, func() error {
		it.kept.gone.Add(no)
		return nil
	})
	return err
}

func (it *inspection) readCursor(ctx context.Context) error {
	c := &it.kept.cursor
	var whole *time.Time
	err := it.kept.tx.QueryRow(ctx, `
		select told_seq, stream_seq, stream_created, bucket_created
		  from relay_cursors
		 where app_id = $1`, int64(it.App)).Scan(&c.told, &c.streamSeq, &c.created, &whole)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if whole != nil {
		c.whole = *whole
	}
	it.noted = min(max(it.noted, c.told), it.kept.lastSeq)
	return err
}
