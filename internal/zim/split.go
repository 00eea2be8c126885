package zim

import (
	"context"

	"github.com/zim-presence/poller/presence"
)

// mostBadAlone is how many ids of one batch may be refused alone, with nobody
// accepted yet, before the fault is taken to lie elsewhere than in the ids.
const mostBadAlone = 8

// split finds the ids that ZIM does not accept by halving the batch, which was
// refused as a whole. The others are answered on the way.
func (a *asking) split(ctx context.Context, batch []presence.User) error {
	s := &splitting{asking: a}
	if err := s.halve(ctx, batch); err != nil {
		return err
	}
	return s.judge(ctx)
}

type splitting struct {
	*asking
	accepted bool            // somebody has been
	refused  []presence.User // alone
}

// halve goes on with a part that was refused.
func (s *splitting) halve(ctx context.Context, part []presence.User) error {
	if !s.accepted && len(s.refused) >= mostBadAlone {
		s.fail(ctx, part)
		return nil
	}
	if len(part) == 1 {
		s.refused = append(s.refused, part[0])
		return nil
	}
	for _, half := range [][]presence.User{part[:len(part)/2], part[len(part)/2:]} {
		answered, err := s.insist(ctx, half, s.halve)
		if err != nil {
			return err
		}
		s.accepted = s.accepted || answered
	}
	return nil
}

// judge asks once more about those who were refused alone: a fault that has
// passed meanwhile was not theirs. Nor may it be if nobody was accepted. Who was
// a suspect before needs no second hearing.
func (s *splitting) judge(ctx context.Context) error {
	for _, u := range s.refused {
		alone := []presence.User{u}
		var err error
		switch {
		case s.client.suspected(u):
			err = s.condemn(ctx, alone)
		case !s.accepted:
			s.fail(ctx, alone)
		default:
			_, err = s.insist(ctx, alone, s.condemn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fail misses those of whom it is not known whether they or something else are to blame.
func (s *splitting) fail(ctx context.Context, part []presence.User) {
	s.n.failure.Store(s.refusal.Load())
	s.miss(ctx, part, presence.MissFailed)
}

// condemn makes a suspect of an id that was refused alone.
func (s *splitting) condemn(ctx context.Context, alone []presence.User) error {
	if s.client.refuse(alone[0].ID) {
		s.client.cfg.Log.Warn().Str("user_id", alone[0].ID).Msg("ZIM refuses this id; this process asks about it alone and rarely from now on")
	}
	s.miss(ctx, alone, presence.MissRefused)
	return nil
}
