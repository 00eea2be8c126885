package ledger

import (
	"context"
	"fmt"
)

// runRightsSQL names what the role lacks of what the daemon does, as that part of a
// grant that stands before "to". What optional says can be done without: another
// role may do it by hand.
const runRightsSQL = `
select current_user, missing, optional
  from (select 'usage on schema ' || n.nspname as missing, false as optional, 0 as place
          from pg_namespace n
         where n.oid = (select relnamespace from pg_class where oid = to_regclass('apps')) and not has_schema_privilege(n.oid, 'usage')
         union all
        select string_agg(r.privilege, ', ' order by r.place) || ' on ' || r.name, false, min(r.place)
          from (values (1, 'watched_users', 'select'),
                       (2, 'poller_migrations', 'select'),
                       (3, 'gaps', 'select'),
                       (4, 'transitions', 'select'), (5, 'transitions', 'insert'),
                       (6, 'snapshots', 'select'), (7, 'snapshots', 'insert'),
                       (8, 'apps', 'select'), (9, 'apps', 'insert'), (10, 'apps', 'update'),
                       (11, 'user_states', 'select'), (12, 'user_states', 'insert'), (13, 'user_states', 'update'),
                       (14, 'relay_cursors', 'select'), (15, 'relay_cursors', 'insert'), (16, 'relay_cursors', 'update'),
                       (17, 'replicas', 'select'), (18, 'replicas', 'insert'), (19, 'replicas', 'update'), (20, 'replicas', 'delete'),
                       (21, 'held_changes', 'select'), (22, 'held_changes', 'insert'), (23, 'held_changes', 'update'),
                       (24, 'held_changes', 'delete')) r (place, name, privilege)
         where not has_table_privilege(r.name, r.privilege)
         group by r.name
         union all
        select 'execute on function ' || f.name, f.optional, f.place
          from (values (30, 'ensure_partitions(integer)', false),
                       (31, 'prune_transitions(interval, boolean)', true),
                       (32, 'thin_snapshots(bigint, interval, interval, interval, boolean)', true)) f (place, name, optional)
         where not has_function_privilege(f.name, 'execute')) m
 order by place`

// Rights is what a role lacks of what the daemon does, as grants without their end.
type Rights struct {
	Role              string
	Missing, Optional []string
}

// Rights returns what the role lacks. The database needs this program's schema. It
// looks the rights up, and tries none.
func (x *Examination) Rights(ctx context.Context) (r Rights, err error) {
	rows, err := x.conn.Query(ctx, `select current_user, null, false union all (`+runRightsSQL+`)`)
	if err != nil {
		return r, fmt.Errorf("look what the role may do: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var missing *string
		var optional bool
		if err := rows.Scan(&r.Role, &missing, &optional); err != nil {
			return r, fmt.Errorf("look what the role may do: %w", err)
		}
		switch {
		case missing == nil:
		case optional:
			r.Optional = append(r.Optional, *missing)
		default:
			r.Missing = append(r.Missing, *missing)
		}
	}
	if err := rows.Err(); err != nil {
		return r, fmt.Errorf("look what the role may do: %w", err)
	}
	return r, nil
}
