package follow

import (
	"context"
	"github.com/zim-presence/poller/presence"
)

// cross goes over a hole in the numbers: all of it has to be told to be erased.
// What else is missing is a *[GapError], or errThere where it can be read after
// all. Who has just looked is sure that it cannot.
func (f *Follower) cross(ctx context.Context, hole presence.SeqRange, sure bool) error {
	left, err := f.unexplained(ctx, hole)
	if err != nil {
		return err
	}
	if len(left) == 0 {
		if f.some {
			return nil // the numbers between are of others
		}
		f.counts.Erased.Add(hole.Last - hole.First + 1)
		f.log.Debug("a hole that was told to be erased", "first", hole.First, "last", hole.Last)
		f.chain.seq = hole.Last
		f.counts.Seq.Store(hole.Last)
		return nil
	}
	if !sure {
		p, err := f.locate(ctx, left[0].First-1, place{})
		if err != nil {
			return err
		}
		if p.first >= left[0].First && p.first <= left[0].Last {
			return errThere
		}
	}
	return &GapError{App: f.cfg.App, First: left[0].First, Last: left[len(left)-1].Last}
}
