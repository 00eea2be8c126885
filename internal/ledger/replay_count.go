package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/zim-presence/poller/presence"
)

// DayCount is how many events of a kind were recorded on a day.
type DayCount struct {
	Day    time.Time // its beginning, UTC
	Kind   presence.Kind
	Events int64
}

// CountByDay counts the events of a range that are of the choice, both ends
// included, in the order of days and kinds. since and until say when the first and
// the last of the range were recorded. Those that were erased are counted as such,
// whatever the choice.
func (p *Past) CountByDay(ctx context.Context, first, last int64, since, until time.Time, c Choice) ([]DayCount, error) {
	const day = 24 * time.Hour
	var counts []DayCount
	for at := since.UTC().Truncate(day); first <= last && !at.After(until); at = at.Add(day) {
		of, err := p.countDay(ctx, at, first, last, c)
		if err != nil {
			return nil, fmt.Errorf("count the events of app %d on %s: %w", p.ledger.app, at.Format(time.DateOnly), err)
		}
		counts = append(counts, of...)
	}
	return counts, nil
}

func (p *Past) countDay(ctx context.Context, at time.Time, first, last int64, c Choice) ([]DayCount, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	rows, err := p.db.Query(ctx, `
		select kind, count(*)
		  from transitions
		 where app_id = $1 and seq between $2 and $3 and recorded_at >= $4 and recorded_at < $5
		   and (kind = 'erased' or ($6::int[] is null or user_no = any($6)) and ($7::text[] is null or kind = any($7)))
		 group by kind
		 order by array_position(array['online', 'offline', 'baseline', 'removed', 'stale', 'erased'], kind), kind`,
		int64(p.ledger.app), first, last, at, at.AddDate(0, 0, 1), c.Users, c.words())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (DayCount, error) {
		counted := DayCount{Day: at}
		var kind string
		err := row.Scan(&kind, &counted.Events)
		if err == nil {
			counted.Kind, err = presence.ParseKind(kind)
		}
		return counted, err
	})
}
