package ledger

import (
	"context"
	"errors"
	"fmt"
)

// ErrReplayTaken says that another process tells a replay now, or that it is over
// or forgotten.
var ErrReplayTaken = errors.New("another process has taken it over, or dropped it")

// ReplayHold is a replay in one process's hands.
type ReplayHold struct {
	ledger       *Ledger
	name, holder string
}

// HoldReplay takes a replay that is in progress from the holder that was seen in
// [Replay.Holder], in the name of another, which has to be unlike all others.
// [ErrReplayTaken]: it is in other hands by now. Who is taken from notices with
// the next move.
func (l *Ledger) HoldReplay(ctx context.Context, name, from, holder string) (*ReplayHold, error) {
	h := &ReplayHold{ledger: l, name: name, holder: holder}
	err := h.update(ctx, "take", `
		update replays
		   set holder = $4, moved_at = clock_timestamp()
		 where app_id = $1 and name = $2 and holder is not distinct from nullif($3, '') and ended_at is null`, from, holder)
	return h, err
}

// Move notes how far it is. It also says that somebody is at it.
func (h *ReplayHold) Move(ctx context.Context, seq, told int64) error {
	return h.update(ctx, "move", `
		update replays
		   set told_seq = $4, told = $5, moved_at = clock_timestamp()
		 where app_id = $1 and name = $2 and holder = $3 and ended_at is null`, h.holder, seq, told)
}

// End notes that everything was told.
func (h *ReplayHold) End(ctx context.Context, seq, told int64) error {
	return h.update(ctx, "end", `
		update replays
		   set told_seq = $4, told = $5, moved_at = clock_timestamp(), ended_at = clock_timestamp(), holder = null
		 where app_id = $1 and name = $2 and holder = $3 and ended_at is null`, h.holder, seq, told)
}

// Leave gives it out of hand.
func (h *ReplayHold) Leave(ctx context.Context) error {
	return h.update(ctx, "leave", `
		update replays
		   set holder = null
		 where app_id = $1 and name = $2 and holder = $3`, h.holder)
}

// Erased tells whether anybody was erased since the replay was started: what it
// told then cannot be counted again.
func (h *ReplayHold) Erased(ctx context.Context) (erased bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = h.ledger.pool.QueryRow(ctx, `
		select exists (select
		                 from erasures e
		                 join replays r on r.app_id = e.app_id
		                where r.app_id = $1 and r.name = $2 and e.erased_at >= r.started_at)`, int64(h.ledger.app), h.name).Scan(&erased)
	if err != nil {
		return false, fmt.Errorf("look who of app %d was erased: %w", h.ledger.app, err)
	}
	return erased, nil
}

// Erasures counts the users of the app who have been erased so far. Who sees the
// count also sees that their events are gone.
func (h *ReplayHold) Erasures(ctx context.Context) (n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err = h.ledger.pool.QueryRow(ctx, `select count(*) from erasures where app_id = $1`, int64(h.ledger.app)).Scan(&n); err != nil {
		return 0, fmt.Errorf("count who of app %d was erased: %w", h.ledger.app, err)
	}
	return n, nil
}

func (h *ReplayHold) update(ctx context.Context, what, sql string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, asideTimeout)
	defer cancel()
	tag, err := h.ledger.pool.Exec(ctx, sql, append([]any{int64(h.ledger.app), h.name}, args...)...)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrReplayTaken
	}
	if err != nil {
		return fmt.Errorf("%s the replay %s of app %d: %w", what, h.name, h.ledger.app, err)
	}
	return nil
}
