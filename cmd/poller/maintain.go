package main

import (
	"context"
	"time"

	"github.com/zim-presence/poller/internal/ledger"
)

// How often the ledger is looked after, and how soon again when that went wrong.
const (
	maintainEvery = time.Hour
	maintainAgain = 5 * time.Minute
)

// maintain makes the ledger's partitions ahead of time, and drops what is past its age.
func (p *parts) maintain(ctx context.Context) {
	book := ledger.New(p.db.Pool, 0, p.log)
	for ctx.Err() == nil {
		next := maintainEvery
		if err := book.EnsurePartitions(ctx); err != nil && ctx.Err() == nil {
			p.log.Warn().Err(err).Msg("partitions were not made; tried again, and when one is missing")
			next = maintainAgain
		}
		if err := p.prune(ctx, book); err != nil && ctx.Err() == nil {
			p.log.Warn().Err(err).Msg("not all that is past its age was dropped; tried again")
			next = maintainAgain
		}
		select {
		case <-time.After(next):
		case <-ctx.Done():
		}
	}
}

// prune drops what is past its age, and says what it did and what holds back the rest.
func (p *parts) prune(ctx context.Context, book *ledger.Ledger) error {
	keep := p.now().Retention
	done, err := book.Prune(ctx, keep.ages(), false)
	r := newPruneReport(keep, done, false)
	p.metrics.Pruned(r.Bytes)
	if days, snapshots := r.dropped(); days > 0 || snapshots > 0 {
		p.log.Info().Int("days", days).Int64("snapshots", snapshots).Int64("bytes", r.Bytes).Msg("pruned")
	}
	held := r.held()
	if len(held) > 0 {
		p.log.Warn().Int("days", len(held)).Str("oldest", held[0].Day).Str("why", held[0].Kept).Msg("days of the ledger are kept past their age")
	}
	oldest, errOldest := book.Oldest(ctx)
	if err == nil {
		err = errOldest
	}
	if err == nil {
		p.metrics.SetRetention(len(held), oldest)
	}
	return err
}
