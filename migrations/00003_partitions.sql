-- +goose Up

-- Who makes a partition has to own the table. The function does it in its owner's name, so that the daemon needs no
-- more than to read the ledger and to add to it. It is confined to one schema: a caller's search_path must not choose
-- the tables that the owner's rights are used on.

-- +goose StatementBegin
create or replace function ensure_partitions(ahead integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    today date := (clock_timestamp() at time zone 'UTC')::date;
    made  integer := 0;
    day   date;
    name  text;
begin
    if ahead is null or ahead not between 0 and 31 then
        raise exception 'partitions can be made 0 to 31 days ahead, not %', ahead;
    end if;
    perform pg_advisory_xact_lock(hashtext('poller partitions'));
    for day in select today + n from generate_series(0, ahead) n loop
        name := 'transitions_' || to_char(day, 'YYYYMMDD');
        continue when exists (select
                                from pg_inherits i
                                join pg_class c on c.oid = i.inhrelid
                               where i.inhparent = 'transitions'::regclass and c.relname = name);
        -- Made aside and then attached, which locks out nobody who reads or writes the ledger.
        execute format('create table %I (like transitions including defaults including constraints)', name);
        execute format('alter table transitions attach partition %I for values from (%L) to (%L)',
                       name, day || ' 00:00+00', day + 1 || ' 00:00+00');
        made := made + 1;
    end loop;
    return made;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
do $$
begin
    execute format('alter function ensure_partitions(integer) set search_path = %I, pg_temp', current_schema());
end
$$;
-- +goose StatementEnd

revoke all on function ensure_partitions(integer) from public;
comment on function ensure_partitions(integer) is 'Makes the missing partitions of transitions, from today (UTC) to so many days ahead, in the name of their owner. Returns how many.';
