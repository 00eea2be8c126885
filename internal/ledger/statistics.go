package ledger

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// namedSQL are our tables of which the planner's statistics name a user: the ids
// that it found most often, or that it divides the others by, stay there until the
// table is analyzed again, which may be never.
const namedSQL = `
select distinct format('%I.%I', s.schemaname, s.tablename)
  from pg_stats s
  join pg_namespace n on n.nspname = s.schemaname
  join pg_class c on c.relnamespace = n.oid and c.relname = s.tablename
 where s.attname = 'user_id'
   and (c.oid in ('watched_users'::regclass, 'user_states'::regclass)
        or c.oid in (select relid from pg_partition_tree('transitions'::regclass)))
   and ($1 = any (s.most_common_vals::text::text[]) or $1 = any (s.histogram_bounds::text::text[]))`

// Statistics counts the tables of which the planner's statistics name the user.
func (l *Ledger) Statistics(ctx context.Context, user string) (int, error) {
	named, err := l.named(ctx, user)
	return len(named), err
}

func (l *Ledger) named(ctx context.Context, user string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	rows, err := l.pool.Query(ctx, namedSQL, user)
	if err != nil {
		return nil, fmt.Errorf("look into the planner's statistics: %w", err)
	}
	named, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look into the planner's statistics: %w", err)
	}
	return named, nil
}

// Analyze makes the planner's statistics anew that name a user whose rows are
// gone, and returns how many still do: all of them where the role does not own the
// tables. While another app has a user of that id they are that user's, and none
// is counted.
func (l *Ledger) Analyze(ctx context.Context, user string) (left int, err error) {
	named, err := l.named(ctx, user)
	if err != nil || len(named) == 0 {
		return len(named), err
	}
	ctx, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	for _, table := range named {
		if _, err := l.pool.Exec(ctx, `analyze `+table); err != nil {
			return len(named), fmt.Errorf("analyze %s: %w", table, err)
		}
	}
	var elsewhere bool
	err = l.pool.QueryRow(ctx, `
		select exists (select from watched_users where user_id = $1) or exists (select from user_states where user_id = $1)
		    or exists (select from transitions where user_id = $1)`, user).Scan(&elsewhere)
	if err != nil || elsewhere {
		return 0, err
	}
	return l.Statistics(ctx, user)
}
