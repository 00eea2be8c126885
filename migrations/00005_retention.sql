-- +goose Up

-- What is past its age is dropped by functions of the database, in the name of who owns the tables, as in 00003: the
-- daemon needs no right to delete anything. What must not go they keep by themselves, whatever they are asked for, and
-- they say why. For each lock they wait 150 ms at most: who commits waits meanwhile, and has a second.

-- +goose StatementBegin
do $do$
declare
    home text;
begin
    select pg_catalog.quote_ident(n.nspname)
      into home
      from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.oid = 'transitions'::pg_catalog.regclass;

    -- Which apps have rows in a partition, and for each what it must still be kept for: null for nothing.
    execute pg_catalog.replace($create$
create function @home@.transitions_held(part regclass)
returns table (app_id bigint, first_seq bigint, last_seq bigint, why text)
language plpgsql set search_path = pg_catalog, pg_temp as $body$
begin
    return query execute replace($query$
        with recursive found (app) as (
            select min(t.app_id) from @part@ t
            union all
            select (select min(t.app_id) from @part@ t where t.app_id > f.app) from found f where f.app is not null
        ), span as (
            select f.app,
                   (select min(t.seq) from @part@ t where t.app_id = f.app) as first,
                   (select max(t.seq) from @part@ t where t.app_id = f.app) as last
              from found f
             where f.app is not null
        )
        select s.app, s.first, s.last,
               nullif(concat_ws(', ',
                   case when not exists (select from @home@.apps a where a.app_id = s.app)
                        then 'it has no row in apps' end,
                   case when coalesce(c.told_seq, 0) < s.last
                        then 'event ' || s.last || ' has not been told (told: ' || coalesce(c.told_seq, 0) || ')' end,
                   case when coalesce(n.seq, -1) < s.last
                        then 'no complete sweep has left a snapshot since event ' || s.last end,
                   (select string_agg('the replay ' || r.name || ' needs it (event ' || r.told_seq || ' of ' || r.last_seq || ')', ', ' order by r.name)
                      from @home@.replays r
                     where r.app_id = s.app and r.ended_at is null and r.told_seq < s.last and r.last_seq >= s.first
                       and r.moved_at > clock_timestamp() - interval '7 days')), '')
          from span s
          left join @home@.relay_cursors c on c.app_id = s.app
          left join lateral (select p.seq from @home@.snapshots p where p.app_id = s.app order by p.sweep desc limit 1) n on true
         order by s.app
    $query$, '@part@', part::text);
end
$body$
$create$, '@home@', home);

    execute pg_catalog.replace($create$
create function @home@.prune_transitions(keep interval, dry boolean)
returns table (day timestamptz, part text, row_count bigint, byte_count bigint, dropped boolean, kept text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '150ms' set timezone = 'UTC' set datestyle = 'ISO, YMD' as $body$
declare
    p    record;
    held boolean := false;
begin
    -- An age is compared by 30 days a month, and taken off by the calendar: both have to be a day.
    if keep is null or dry is null or keep < interval '1 day' or clock_timestamp() - keep > clock_timestamp() - interval '1 day' then
        raise exception 'transitions are kept for a day or longer, not for %', keep;
    end if;
    -- In another isolation what was added since the transaction began would not be seen, and be dropped.
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'the past is dropped in read committed transactions alone, not in %', current_setting('transaction_isolation');
    end if;
    if not dry then
        perform pg_advisory_xact_lock(hashtext('poller retention')::bigint);
    end if;
    for p in
        select b.oid::regclass as name, b.relname, b.low, b.high
          from (select c.oid, c.relname::text,
                       substring(pg_get_expr(c.relpartbound, c.oid) from $re$FROM \('([^']+)'\)$re$)::timestamptz as low,
                       substring(pg_get_expr(c.relpartbound, c.oid) from $re$TO \('([^']+)'\)$re$)::timestamptz as high
                  from pg_inherits i
                  join pg_class c on c.oid = i.inhrelid
                 where i.inhparent = '@home@.transitions'::regclass) b
         where b.high <= clock_timestamp() - keep
         order by b.high
    loop
        select p.low, p.relname, coalesce(sum(h.last_seq - h.first_seq + 1), 0), pg_total_relation_size(p.name), false,
               string_agg('app ' || h.app_id || ': ' || h.why, '; ' order by h.app_id)
          into day, part, row_count, byte_count, dropped, kept
          from @home@.transitions_held(p.name) h;
        if kept is null and held then
            kept := 'an older day is kept';
        end if;
        held := kept is not null;
        if not dry and not held then
            -- In this order: a commit has the lock of the table before that of the app's row.
            lock table only @home@.transitions in access exclusive mode;
            lock table @home@.replays in share mode;
            -- Once more, now that nothing of it can change.
            if exists (select from @home@.transitions_held(p.name) h where h.why is not null) then
                raise exception using errcode = 'lock_not_available', message = part || ' is needed since this moment';
            end if;
            update @home@.apps a
               set pruned_seq = greatest(a.pruned_seq, h.last_seq), pruned_until = greatest(a.pruned_until, p.high)
              from @home@.transitions_held(p.name) h
             where a.app_id = h.app_id;
            execute 'drop table ' || p.name::text;
            dropped := true;
        end if;
        return next;
        exit when dropped;
    end loop;
end
$body$
$create$, '@home@', home);

    execute pg_catalog.replace($create$
create function @home@.thin_snapshots(app bigint, every_sweep interval, hourly interval, daily interval, dry boolean)
returns table (class text, kept bigint, dropped bigint, byte_count bigint, held text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '150ms' set timezone = 'UTC' as $body$
declare
    at    timestamptz := clock_timestamp();
    needs text;
begin
    if app is null or dry is null or (every_sweep >= interval '1 day' and every_sweep <= hourly and hourly <= daily) is not true
       or greatest(at - every_sweep, at - hourly, at - daily) > at - interval '1 day' then
        raise exception 'snapshots are kept for a day or longer: every sweep, then one an hour, then one a day; not for %, %, %', every_sweep, hourly, daily;
    end if;
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'the past is dropped in read committed transactions alone, not in %', current_setting('transaction_isolation');
    end if;
    if not dry then
        perform pg_advisory_xact_lock(hashtext('poller retention')::bigint);
    end if;
    select string_agg('the replay ' || r.name || ' is in progress', ', ' order by r.name)
      into needs
      from @home@.replays r
     where r.app_id = app and r.ended_at is null and r.moved_at > at - interval '7 days';
    return query
        with each as (
            select s.sweep,
                   octet_length(s.online)::bigint + octet_length(s.known) + pg_column_size(s.missed) as size,
                   date_trunc('hour', s.finished) + interval '1 hour' as hour,
                   date_trunc('day', s.finished) + interval '1 day' as day,
                   row_number() over (order by s.sweep desc) <= 100
                   or s.sweep = (select min(f.sweep)
                                   from @home@.snapshots f
                                   join @home@.apps a on a.app_id = f.app_id
                                  where f.app_id = app and f.seq >= a.pruned_seq) as needed,
                   row_number() over (partition by date_trunc('hour', s.finished) order by s.sweep desc) = 1 as last_of_hour,
                   row_number() over (partition by date_trunc('day', s.finished) order by s.sweep desc) = 1 as last_of_day
              from @home@.snapshots s
             where s.app_id = app
        ), judged as (
            select e.sweep, e.size,
                   case when e.needed then 'needed'
                        when e.day <= at - daily then 'too old'
                        when e.day <= at - hourly then 'daily'
                        when e.hour <= at - every_sweep then 'hourly'
                        else 'every sweep' end as class,
                   not e.needed
                   and (e.day <= at - daily
                        or e.day <= at - hourly and not e.last_of_day
                        or e.hour <= at - every_sweep and not e.last_of_hour) as spare
              from each e
        ), picked as (
            select j.sweep, j.class, j.size
              from judged j
             where j.spare and needs is null
             order by j.sweep
             limit case when dry then null else 500 end
        ), gone as (
            delete from @home@.snapshots s
             using picked p
             where not dry and s.app_id = app and s.sweep = p.sweep
        )
        select j.class, count(*) filter (where p.sweep is null), count(*) filter (where p.sweep is not null),
               coalesce(sum(p.size), 0)::bigint, case when bool_or(j.spare) then needs end
          from judged j
          left join picked p on p.sweep = j.sweep
         group by j.class
         order by min(j.sweep);
end
$body$
$create$, '@home@', home);
end
$do$;
-- +goose StatementEnd

revoke all on function transitions_held(regclass) from public;
revoke all on function prune_transitions(interval, boolean) from public;
revoke all on function thin_snapshots(bigint, interval, interval, interval, boolean) from public;
comment on function transitions_held(regclass) is 'The apps that have rows in a partition of transitions, and what each of them must be kept for; null for nothing.';
comment on function prune_transitions(interval, boolean) is 'Drops the oldest partition of transitions that lies wholly behind the age, if nothing needs it, or with dry only looks. A row for each that is older than the age, the oldest first: what is in it, and why it is kept. It drops one at a call and returns no row behind that one; call it until nothing was dropped.';
comment on function thin_snapshots(bigint, interval, interval, interval, boolean) is 'Deletes snapshots of an app, at most 500 at a call, or with dry only counts: every sweep is kept for the first age, then the last of each hour (UTC) for the second, then the last of each day for the third. The newest 100, and the first one at or behind the beginning of the ledger, are always kept.';
