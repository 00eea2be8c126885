package ledger

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Gap is events that the ledger will never have, First to Last: an adoption went
// on without them, because its operator said so.
type Gap struct{ First, Last int64 }

// Gaps returns the accepted gaps, by ascending First.
func (p *Past) Gaps(ctx context.Context) ([]Gap, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	rows, err := p.db.Query(ctx, `select first_seq, last_seq from gaps where app_id = $1 order by first_seq`, int64(p.ledger.app))
	if err != nil {
		return nil, fmt.Errorf("read the gaps of app %d: %w", p.ledger.app, err)
	}
	gaps, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Gap])
	if err != nil {
		return nil, fmt.Errorf("read the gaps of app %d: %w", p.ledger.app, err)
	}
	return gaps, nil
}

// chain proves that numbers follow each other, but for the gaps.
type chain struct {
	next int64
	gaps []Gap // that do not end before next, ascending
}

// add takes the next number that was found.
func (c *chain) add(seq int64) error {
	for c.next < seq {
		for len(c.gaps) > 0 && c.gaps[0].Last < c.next {
			c.gaps = c.gaps[1:]
		}
		if len(c.gaps) == 0 || c.gaps[0].First > c.next {
			hole := &HoleError{First: c.next, Last: seq - 1}
			if len(c.gaps) > 0 {
				hole.Last = min(hole.Last, c.gaps[0].First-1)
			}
			return hole
		}
		c.next = min(c.gaps[0].Last+1, seq)
	}
	c.next = seq + 1
	return nil
}
