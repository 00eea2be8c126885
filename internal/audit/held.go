package audit

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// waiting is a change that waits to be confirmed, with the state of its user as far
// as there is one.
type waiting struct {
	no           int64
	to           string
	after, seen  time.Time
	user, status *string
	watched      bool
	asked        *time.Time
}

// readHeld holds what waits to be confirmed against the state.
func (it *inspection) readHeld(ctx context.Context) error {
	if it.Range.ends() {
		return nil
	}
	rows, err := it.kept.tx.Query(ctx, `
		select h.user_no, h.status, h.after, h.seen_at, u.user_id, u.status, coalesce(u.watched, false), u.asked_at
		  from held_changes h
		  left join user_states u on u.app_id = h.app_id and u.user_no = h.user_no
		 where h.app_id = $1
		 order by h.user_no`, int64(it.App))
	if err != nil {
		return err
	}
	var w waiting
	_, err = pgx.ForEachRow(rows, []any{&w.no, &w.to, &w.after, &w.seen, &w.user, &w.status, &w.watched, &w.asked}, func() error {
		if w.user == nil {
			it.report.add(State, strconv.FormatInt(w.no, 10), "a change of user number %d waits to be confirmed, and nobody has that number", w.no)
		} else if wrong := w.judge(); wrong != "" {
			it.report.add(State, *w.user, "a change of %q waits to be confirmed, which %s", *w.user, wrong)
		}
		return nil
	})
	return err
}

// judge says what is wrong with a change of somebody.
func (w *waiting) judge() string {
	switch {
	case !w.watched:
		return "is of nobody who counts as watched"
	case *w.status == presence.Unknown.String():
		return fmt.Sprintf("leads to %s, and what is told is that nothing is known", w.to)
	case *w.status == w.to:
		return fmt.Sprintf("leads to %s, as is told already", w.to)
	case w.after.After(w.seen):
		return fmt.Sprintf("came after %s, and was seen at %s", w.after.UTC().Format(time.RFC3339Nano), w.seen.UTC().Format(time.RFC3339Nano))
	case w.asked != nil && w.after.Before(*w.asked):
		return fmt.Sprintf("came after %s, and the answer to a request of %s said what is told", w.after.UTC().Format(time.RFC3339Nano),
			w.asked.UTC().Format(time.RFC3339Nano))
	}
	return ""
}
