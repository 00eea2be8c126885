package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// searchTimeout bounds the search of the whole ledger for one user: there is no
// index for it, since nothing else asks for it.
const searchTimeout = 30 * time.Minute

// Traces is what the database holds of one user.
type Traces struct {
	Watchlist int // rows, 0 or 1
	State     int // rows, 0 or 1
	// Replays is how many replays were asked for this user alone.
	Replays int

	user string
	rows []trace
	log  string // the app's, when the search began
	upTo int64  // the ledger's newest event then
}

// trace is one row of transitions.
type trace struct {
	seq        int64
	recordedAt time.Time
	no         int32
}

// Rows is how many rows of the ledger are the user's.
func (t *Traces) Rows() int { return len(t.rows) }

// Any tells whether there is anything.
func (t *Traces) Any() bool { return t.Watchlist+t.State+t.Replays+len(t.rows) > 0 }

// Traces looks for a user in every table. It reads the whole ledger, and locks
// nothing.
func (l *Ledger) Traces(ctx context.Context, user string) (*Traces, error) {
	ctx, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	t := &Traces{user: user}
	if err := l.traces(ctx, t); err != nil {
		return nil, fmt.Errorf("look for the user in app %d: %w", l.app, err)
	}
	return t, nil
}

func (l *Ledger) traces(ctx context.Context, t *Traces) error {
	// The end of the ledger first: what comes behind it is looked for under the lock.
	err := l.pool.QueryRow(ctx, `select log, last_seq from apps where app_id = $1`, int64(l.app)).Scan(&t.log, &t.upTo)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	err = l.pool.QueryRow(ctx, `
		select (select count(*) from watched_users where app_id = $1 and user_id = $2),
		       (select count(*) from user_states where app_id = $1 and user_id = $2),
		       (select count(*) from replays where app_id = $1 and `+asksForUser+`)`, int64(l.app), t.user).
		Scan(&t.Watchlist, &t.State, &t.Replays)
	if err != nil {
		return err
	}
	rows, err := l.pool.Query(ctx, `
		select seq, recorded_at, user_no
		  from transitions
		 where app_id = $1 and user_id = $2`, int64(l.app), t.user)
	if err != nil {
		return err
	}
	t.rows, err = pgx.CollectRows(rows, scanTrace)
	return err
}

// asksForUser holds for a replay that was asked for the user $2 alone: of whom it
// was asked for a hash is kept, and that of one id can be guessed.
const asksForUser = `asked->>'users_hash' = encode(sha256(convert_to($2, 'UTF8')), 'hex')`

func scanTrace(row pgx.CollectableRow) (t trace, err error) {
	err = row.Scan(&t.seq, &t.recordedAt, &t.no)
	return t, err
}
