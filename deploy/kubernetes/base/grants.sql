-- What the daemon may do, as docs/operations.md has it: run as poller_owner after each migration.
grant usage on schema public to poller;
grant select on watched_users, poller_migrations, gaps to poller;
grant select, insert on transitions, snapshots to poller;
grant select, insert, update on apps, user_states, relay_cursors to poller;
grant select, insert, update, delete on replicas, held_changes to poller;
grant execute on function ensure_partitions(integer) to poller;
grant execute on function prune_transitions(interval, boolean) to poller;
grant execute on function thin_snapshots(bigint, interval, interval, interval, boolean) to poller;
