-- +goose Up

-- A column is added in no time, but nobody may read or write the table meanwhile; and whoever comes waits behind the one
-- who waits. So the locks are waited for 150 ms at a time, all of them before anything is done, in the order in which a
-- commit takes them, and given back where one is not to be had.

-- +goose StatementBegin
do $do$
begin
    for n in 1..240 loop
        begin
            perform pg_catalog.set_config('lock_timeout', '150ms', true);
            lock table presence, user_states, transitions in access exclusive mode;
            return;
        exception when lock_not_available then
            perform pg_catalog.pg_sleep(0.35); -- others go on meanwhile
        end;
    end loop;
    raise exception using errcode = 'lock_not_available',
        message = 'for two minutes somebody has been reading the state or the ledger without a pause; nothing was changed: try again when that has ended';
end
$do$;
-- +goose StatementEnd

alter table transitions add column confirmed_at timestamptz;
comment on column transitions.confirmed_at is 'When a change that was held back was taken for true; null where nothing was held back.';
comment on column transitions.kind         is 'online, offline: real transitions. baseline: first answer about a newly watched user. removed: left the watchlist. stale: no answer for too long. erased: what stood here was erased on request; the number stands.';

alter table user_states add column stale boolean not null default false;
comment on column user_states.stale  is 'Whether the status is unknown because there was no answer for too long: the newest event is of kind stale.';
comment on column user_states.status is 'Last told status; a change that is held back is in held_changes.';

create table held_changes (
    app_id   bigint      not null,
    user_no  integer     not null,
    status   text        not null check (status in ('offline', 'online')),
    detail   text        not null default '' check (detail in ('', 'timeout', 'no_session')),
    after    timestamptz not null,
    seen_at  timestamptz not null,
    primary key (app_id, user_no)
) with (fillfactor = 70);
comment on table  held_changes         is 'Changes that were seen and wait to be confirmed; nothing of them is told. Empty unless a hold is configured.';
comment on column held_changes.app_id  is 'ZIM AppID.';
comment on column held_changes.user_no is 'Number of the user, as in user_states.';
comment on column held_changes.status  is 'The status that was seen.';
comment on column held_changes.detail  is 'In which way offline.';
comment on column held_changes.after   is 'When the request left whose answer last said the told status.';
comment on column held_changes.seen_at is 'When the first answer was read that said the new one.';

create or replace view presence as
select u.app_id, u.user_id, u.status, u.detail, u.since,
       case when h.user_no is not null then greatest(u.observed_at, h.after)
            when u.watched and u.status <> 'unknown'
            then greatest(u.observed_at,
                          (select s.started
                             from (select n.sweep, n.started, n.missed
                                     from snapshots n
                                    where n.app_id = u.app_id
                                    order by n.sweep desc
                                    limit 100) s
                            where s.started > u.asked_at and not s.missed @> u.user_no
                            order by s.sweep desc
                            limit 1))
            else u.observed_at
       end as observed_at
  from user_states u
  left join held_changes h on h.app_id = u.app_id and h.user_no = u.user_no;
comment on column presence.status      is 'online, offline, or unknown: not answered yet, not answered for too long, or no longer watched.';
comment on column presence.observed_at is 'The user was seen in this status at this moment or later: of an unchanged user the start of the newest complete sweep that saw it, of one of whom a change is held back the last answer before.';
