package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Replay is what is kept of a replay: what it tells again, and how far it is.
type Replay struct {
	Name string
	// Asked is the choice that it was started with, and what it has led to.
	Asked json.RawMessage
	// First and Last are the range, both ends included; First is one more than Last
	// where it is empty.
	First, Last int64
	// ToldSeq is the event up to which the ledger is no longer needed, Told how many
	// messages have been told.
	ToldSeq, Told  int64
	Started, Moved time.Time
	Ended          time.Time // zero while it is in progress
	Holder         string    // who tells it, or was killed over it; empty for nobody
}

const replayColumns = `name, asked, first_seq, last_seq, told_seq, told, started_at, moved_at, ended_at, coalesce(holder, '')`

// Replays returns the replays of the app, the oldest first.
func (l *Ledger) Replays(ctx context.Context) ([]Replay, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := l.pool.Query(ctx, `select `+replayColumns+` from replays where app_id = $1 order by started_at, name`, int64(l.app))
	if err != nil {
		return nil, fmt.Errorf("read the replays of app %d: %w", l.app, err)
	}
	all, err := pgx.CollectRows(rows, scanReplay)
	if err != nil {
		return nil, fmt.Errorf("read the replays of app %d: %w", l.app, err)
	}
	return all, nil
}

// Replay returns one replay by name; found is false where there is none.
func (l *Ledger) Replay(ctx context.Context, name string) (r Replay, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := l.pool.Query(ctx, `select `+replayColumns+` from replays where app_id = $1 and name = $2`, int64(l.app), name)
	if err == nil {
		r, err = pgx.CollectExactlyOneRow(rows, scanReplay)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return Replay{}, false, nil
	}
	if err != nil {
		return Replay{}, false, fmt.Errorf("read the replay %s of app %d: %w", name, l.app, err)
	}
	return r, true, nil
}

// Log returns the log under which events are numbered now; empty where the app is
// not known.
func (l *Ledger) Log(ctx context.Context) (log string, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = l.pool.QueryRow(ctx, `select log from apps where app_id = $1`, int64(l.app)).Scan(&log)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the log of app %d: %w", l.app, err)
	}
	return log, nil
}

// StartReplay keeps a new replay. From then on retention leaves it what it needs,
// the events behind ToldSeq; what was dropped before is for the caller to see.
// Where there is one of that name already it changes nothing, and started is false.
func (l *Ledger) StartReplay(ctx context.Context, r Replay) (started bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	tag, err := l.pool.Exec(ctx, `
		insert into replays (app_id, name, asked, first_seq, last_seq, told_seq)
		values ($1, $2, $3, $4, $5, $6)
		on conflict do nothing`, int64(l.app), r.Name, r.Asked, r.First, r.Last, r.ToldSeq)
	if err != nil {
		return false, fmt.Errorf("keep the replay %s of app %d: %w", r.Name, l.app, err)
	}
	return tag.RowsAffected() > 0, nil
}

// DropReplay forgets a replay; found is false where there is none.
func (l *Ledger) DropReplay(ctx context.Context, name string) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	tag, err := l.pool.Exec(ctx, `delete from replays where app_id = $1 and name = $2`, int64(l.app), name)
	if err != nil {
		return false, fmt.Errorf("forget the replay %s of app %d: %w", name, l.app, err)
	}
	return tag.RowsAffected() > 0, nil
}

func scanReplay(row pgx.CollectableRow) (r Replay, err error) {
	var ended *time.Time
	err = row.Scan(&r.Name, &r.Asked, &r.First, &r.Last, &r.ToldSeq, &r.Told, &r.Started, &r.Moved, &ended, &r.Holder)
	r.Started, r.Moved, r.Ended = r.Started.UTC(), r.Moved.UTC(), orZero(ended)
	return r, err
}
