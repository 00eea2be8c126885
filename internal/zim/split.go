package zim

import (
	"context"
	"errors"

	"github.com/zim-presence/poller/presence"
)

// mostBadAlone is how many ids of one batch may be refused alone, with nobody
// accepted yet, before the fault is taken to lie elsewhere than in the ids.
const mostBadAlone = 8

// split finds the ids that ZIM does not accept by halving the batch, which was
// refused as a whole. The others are answered on the way.
func (a *asking) split(ctx context.Context, batch []presence.User) error {
	s := &splitting{asking: a}
	err := s.halves(ctx, batch)
	s.judge(ctx)
	return err
}

type splitting struct {
	*asking
	accepted bool            // somebody has been
	refused  []presence.User // alone
}

func (s *splitting) halves(ctx context.Context, batch []presence.User) error {
	if len(batch) == 1 {
		s.refused = append(s.refused, batch[0])
		return nil
	}
	for _, half := range [][]presence.User{batch[:len(batch)/2], batch[len(batch)/2:]} {
		if err := s.half(ctx, half); err != nil {
			return err
		}
	}
	return nil
}

// half asks about one half, and insists on all failures but those that split.
func (s *splitting) half(ctx context.Context, half []presence.User) error {
	again, err := s.once(ctx, half)
	var e *Error
	switch {
	case err == nil:
		s.accepted = true
		if len(again) > 0 {
			return s.insist(ctx, again)
		}
		return nil
	case !errors.As(err, &e):
		return err
	case e.Class != Split:
		return s.insist(ctx, half)
	case !s.accepted && len(s.refused) >= mostBadAlone:
		s.miss(ctx, half, presence.MissFailed)
		return nil
	}
	return s.halves(ctx, half)
}

// judge condemns those who were refused alone, if others were accepted; if
// nobody was, the fault may not be theirs. Who was a suspect before stays one.
func (s *splitting) judge(ctx context.Context) {
	for _, u := range s.refused {
		if !s.accepted && !s.client.suspected(u) {
			s.miss(ctx, []presence.User{u}, presence.MissFailed)
			continue
		}
		if s.client.refuse(u.ID) {
			s.client.cfg.Log.Warn().Str("user_id", u.ID).Msg("ZIM refuses this id; it is asked about alone and rarely from now on")
		}
		s.miss(ctx, []presence.User{u}, presence.MissRefused)
	}
}
