-- +goose Up

-- Who makes a partition has to own the table. The function does it in its owner's name, so that the daemon needs no
-- more than to read the ledger and to add to it. Nothing of it may be looked up where somebody else can put something of
-- the same name: it would run with the owner's rights. So its search_path is the catalogue alone, and the names of our
-- schema are written into it here. It takes locks for three seconds at most: commits do not wait behind it for longer.

-- +goose StatementBegin
do $do$
declare
    home text;
begin
    select n.nspname::text
      into home
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.oid = 'transitions'::pg_catalog.regclass;
    execute pg_catalog.format($create$
create function %1$I.ensure_partitions(ahead integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '3s' as $body$
declare
    today   date := (clock_timestamp() at time zone 'UTC')::date;
    locked  boolean := false;
    missing date[];
    day     date;
    name    text;
begin
    if ahead is null or ahead not between 0 and 31 then
        raise exception 'partitions can be made 0 to 31 days ahead, not %%', ahead;
    end if;
    loop
        missing := array(
            select today + n
              from generate_series(0, ahead) n
             where not exists (select
                                 from pg_inherits i
                                 join pg_class c on c.oid = i.inhrelid
                                where i.inhparent = %2$L::regclass
                                  and c.relname::text = 'transitions_' || to_char((today + n)::timestamp, 'YYYYMMDD'))
             order by n);
        exit when locked or cardinality(missing) = 0;
        perform pg_advisory_xact_lock(hashtext('poller partitions')::bigint);
        locked := true; -- whoever had it may have made them: look once more
    end loop;
    foreach day in array missing loop
        name := 'transitions_' || to_char(day::timestamp, 'YYYYMMDD');
        -- Made aside and then attached, which locks out nobody who reads or writes the ledger.
        execute format('create table %1$I.%%I (like %1$I.transitions including defaults including constraints)', name);
        execute format('alter table %1$I.transitions attach partition %1$I.%%I for values from (%%L) to (%%L)', name,
                       to_char(day::timestamp, 'YYYY-MM-DD') || ' 00:00+00', to_char((day + 1)::timestamp, 'YYYY-MM-DD') || ' 00:00+00');
    end loop;
    return cardinality(missing);
end
$body$
$create$, home, pg_catalog.format('%I.transitions', home));
end
$do$;
-- +goose StatementEnd

revoke all on function ensure_partitions(integer) from public;
comment on function ensure_partitions(integer) is 'Makes the missing partitions of transitions, from today (UTC) to so many days ahead, in the name of their owner. Returns how many.';
