package ledger

import (
	"context"
	"fmt"
)

// adoptRightsSQL names what is missing of what an adoption does: it rewrites
// the ledger, and sorts the events in a temporary table.
const adoptRightsSQL = `
select current_user, coalesce(string_agg(missing, ', '), '')
  from (select r.privilege || ' on ' || r.name
          from (values ('transitions', 'select'), ('transitions', 'insert'), ('transitions', 'delete'),
                       ('user_states', 'select'), ('user_states', 'insert'), ('user_states', 'update'),
                       ('held_changes', 'select'), ('held_changes', 'delete'),
                       ('snapshots', 'select'), ('snapshots', 'delete'),
                       ('apps', 'select'), ('apps', 'insert'), ('apps', 'update'),
                       ('gaps', 'select'), ('gaps', 'insert'), ('gaps', 'update'), ('gaps', 'delete'),
                       ('relay_cursors', 'select'), ('relay_cursors', 'insert'), ('relay_cursors', 'update'),
                       ('watched_users', 'select')) r (name, privilege)
         where not has_table_privilege(r.name, r.privilege)
         union all
        select 'execute on function ensure_partitions'
         where not has_function_privilege('ensure_partitions(integer)', 'execute')
         union all
        select 'temporary on database ' || current_database()
         where not has_database_privilege(current_database(), 'temporary')) m (missing)`

// MayAdopt tells whether the role of this connection may do all that an adoption
// does; the error of one that may not names what is missing. It writes nothing.
func (l *Ledger) MayAdopt(ctx context.Context) error {
	return l.may(ctx, "adopt", adoptRightsSQL)
}

// forgetRightsSQL names what is missing of what an erasure does.
const forgetRightsSQL = `
select current_user, coalesce(string_agg(missing, ', '), '')
  from (select r.privilege || ' on ' || r.name
          from (values ('transitions', 'select'), ('transitions', 'insert'), ('transitions', 'update'),
                       ('user_states', 'select'), ('user_states', 'delete'),
                       ('held_changes', 'select'), ('held_changes', 'delete'),
                       ('watched_users', 'select'), ('watched_users', 'delete'),
                       ('erasures', 'select'), ('erasures', 'insert'), ('erasures', 'update'),
                       ('replays', 'select'), ('replays', 'update'),
                       ('apps', 'select'), ('apps', 'insert'), ('apps', 'update'),
                       ('relay_cursors', 'select'), ('relay_cursors', 'insert'), ('relay_cursors', 'update')) r (name, privilege)
         where not has_table_privilege(r.name, r.privilege)
         union all
        select 'execute on function ensure_partitions'
         where not has_function_privilege('ensure_partitions(integer)', 'execute')) m (missing)`

// MayForget tells whether the role of this connection may do all that an erasure
// does, as [Ledger.MayAdopt] does of an adoption.
func (l *Ledger) MayForget(ctx context.Context) error {
	return l.may(ctx, "erase a user of", forgetRightsSQL)
}

func (l *Ledger) may(ctx context.Context, what, rightsSQL string) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var role, missing string
	if err := l.pool.QueryRow(ctx, rightsSQL).Scan(&role, &missing); err != nil {
		return fmt.Errorf("look what the role may do to app %d: %w", l.app, err)
	}
	if missing != "" {
		return fmt.Errorf("%s app %d: role %s has no permission to %s: run it with the DSN of the role that owns the tables", what, l.app, role, missing)
	}
	return nil
}
