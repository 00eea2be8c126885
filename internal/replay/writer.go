package replay

import (
	"context"

	"github.com/zim-presence/poller/presence"
)

// sheet is some messages in a row.
type sheet struct {
	messages []presence.Retold
	seq      int64 // where they are told, the ledger is needed behind this event alone; 0: as before
	erased   int64 // events that were passed over
	nameless int64 // users who were
}

// sheetSize is how many states or net changes stand on a sheet.
const sheetSize = 2000

// writer makes the messages of a replay.
type writer struct {
	replay   *Replay
	position int64 // of the last message
	skip     int64 // up to this position they have been told
	sheets   chan sheet
}

// again is what makes a message.
type again interface {
	Again(replay string, position int64) (presence.Retold, error)
}

// add writes a message on a sheet.
func (w *writer) add(s *sheet, m again) error {
	w.position++
	if w.position <= w.skip {
		return nil
	}
	told, err := m.Again(w.replay.Name, w.position)
	if err == nil {
		s.messages = append(s.messages, told)
	}
	return err
}

// hand gives a sheet away to be told.
func (w *writer) hand(ctx context.Context, s sheet) error {
	select {
	case w.sheets <- s:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write writes everything behind a place.
func (w *writer) write(ctx context.Context, at place) error {
	if at.part == states {
		if err := w.states(ctx, at.user); err != nil {
			return err
		}
		at = w.replay.behindStates()
	}
	if at.part == changes {
		return w.changes(ctx, at)
	}
	return w.events(ctx, at.seq)
}
