-- +goose Up

create table watched_users (
    app_id   bigint      not null check (app_id between 1 and 4294967295),
    user_id  text        collate "C" not null,
    added_at timestamptz not null default now(),
    primary key (app_id, user_id)
);
comment on table  watched_users          is 'The watchlist. Other programs insert and delete rows here; the next sweep notices.';
comment on column watched_users.app_id   is 'ZIM AppID.';
comment on column watched_users.user_id  is 'ZIM user id, at most 64 bytes; one that ZIM cannot be asked about is listed by the poller and never sent.';
comment on column watched_users.added_at is 'When the row came; for people, the poller does not read it.';

create table apps (
    app_id           bigint      primary key check (app_id between 1 and 4294967295),
    log              text        not null default left(gen_random_uuid()::text, 8) check (log ~ '^[0-9a-f]{8}$'),
    last_seq         bigint      not null default 0,
    last_sweep       bigint      not null default 0,
    last_user_no     integer     not null default 0,
    last_recorded_at timestamptz not null default '-infinity',
    epoch            bigint      not null default 0,
    owner            text,
    expires_at       timestamptz,
    session_pid      integer,
    session_start    timestamptz,
    budget_free_at   timestamptz not null default '-infinity'
) with (fillfactor = 50);
comment on table  apps                  is 'One row an app: the lease, and the counters that every commit moves under its lock.';
comment on column apps.app_id           is 'ZIM AppID.';
comment on column apps.log              is '8 hex digits drawn once; part of every event id, so that two databases never tell different content under one id.';
comment on column apps.last_seq         is 'Sequence number of the newest row in transitions; gapless, since it moves in the transaction that inserts.';
comment on column apps.last_sweep       is 'Number of the newest sweep that wrote anything here.';
comment on column apps.last_user_no     is 'Highest user_no given so far.';
comment on column apps.last_recorded_at is 'recorded_at of the newest commit; the next is never earlier.';
comment on column apps.epoch            is 'Counts the changes of the lease''s holder; every write names it and touches nothing when it is no longer the current one.';
comment on column apps.owner            is 'Who holds the lease, for people; null when it is free.';
comment on column apps.expires_at       is 'End of the lease by this database''s clock.';
comment on column apps.session_pid      is 'Backend pid of the holder''s lease connection; null when the connection is not direct (a pooler).';
comment on column apps.session_start    is 'Start of that backend: a pid alone may be given again.';
comment on column apps.budget_free_at   is 'No request may leave before: the last holder''s last request plus the rate window.';

create table user_states (
    app_id      bigint  not null,
    user_no     integer not null,
    user_id     text    collate "C" not null,
    watched     boolean not null default true,
    status      text    not null default 'unknown' check (status in ('unknown', 'offline', 'online')),
    detail      text    not null default '' check (detail in ('', 'timeout', 'no_session')),
    since       timestamptz,
    observed_at timestamptz,
    asked_at    timestamptz,
    last_seq    bigint  not null default 0,
    primary key (app_id, user_no),
    unique (app_id, user_id)
) with (fillfactor = 85);
comment on table  user_states             is 'What the poller knows of each user. Rows change when something changed, and survive a removal from the watchlist.';
comment on column user_states.app_id      is 'ZIM AppID.';
comment on column user_states.user_no     is 'Number of the user within the app, given once and never again; the position in the bitmaps of snapshots.';
comment on column user_states.user_id     is 'ZIM user id.';
comment on column user_states.watched     is 'Whether the last sweep found the user in the watchlist.';
comment on column user_states.status      is 'Last told status.';
comment on column user_states.detail      is 'In which way offline.';
comment on column user_states.since       is 'observed_at of the event that brought the status; null before the first.';
comment on column user_states.observed_at is 'When the answer that last changed this row was read.';
comment on column user_states.asked_at    is 'When the request for that answer left: nothing is known to be unchanged after it.';
comment on column user_states.last_seq    is 'The user''s newest event, 0 for none.';

create table transitions (
    app_id      bigint      not null,
    seq         bigint      not null,
    user_no     integer     not null,
    user_id     text        collate "C" not null,
    kind        text        not null,
    from_status text        not null,
    to_status   text        not null,
    detail      text        not null,
    after       timestamptz,
    observed_at timestamptz not null,
    prev_seq    bigint      not null,
    sweep       bigint      not null,
    log         text        not null,
    encoding    smallint    not null,
    recorded_at timestamptz not null,
    primary key (app_id, seq, recorded_at)
) partition by range (recorded_at);
comment on table  transitions             is 'The ledger: every event that was or will be told, in order. Partitioned by day (UTC) of recorded_at.';
comment on column transitions.app_id      is 'ZIM AppID.';
comment on column transitions.seq         is 'Number of the event within the app, from 1, without gaps.';
comment on column transitions.user_no     is 'Number of the user, as in user_states.';
comment on column transitions.user_id     is 'ZIM user id.';
comment on column transitions.kind        is 'online, offline: real transitions. baseline: first answer about a newly watched user. removed: left the watchlist.';
comment on column transitions.from_status is 'Status before.';
comment on column transitions.to_status   is 'Status after.';
comment on column transitions.detail      is 'In which way offline: timeout or no_session; empty otherwise.';
comment on column transitions.after       is 'The change happened after this moment; null where nothing was known before.';
comment on column transitions.observed_at is 'The change had happened by this moment.';
comment on column transitions.prev_seq    is 'The user''s event before this one, 0 for none.';
comment on column transitions.sweep       is 'Number of the sweep that saw the change.';
comment on column transitions.log         is 'apps.log when the row was written.';
comment on column transitions.encoding    is 'Version of the event''s bytes that first told it.';
comment on column transitions.recorded_at is 'This database''s clock at the commit; never earlier than that of a smaller seq of the app.';

create table snapshots (
    app_id       bigint         not null,
    sweep        bigint         not null,
    started      timestamptz    not null,
    finished     timestamptz    not null,
    seq          bigint         not null,
    watched      integer        not null,
    seen         integer        not null,
    missed_count integer        not null,
    transitions  integer        not null,
    requests     integer        not null,
    online       bytea          not null,
    known        bytea          not null,
    missed       int4multirange not null,
    primary key (app_id, sweep)
);
alter table snapshots alter column online set storage external;
alter table snapshots alter column known  set storage external;
comment on table  snapshots              is 'The state of everybody at the end of each complete sweep.';
comment on column snapshots.app_id       is 'ZIM AppID.';
comment on column snapshots.sweep        is 'Number of the sweep within the app.';
comment on column snapshots.started      is 'When the sweep began; every answer of it was asked for later.';
comment on column snapshots.finished     is 'When its last answer was committed.';
comment on column snapshots.seq          is 'Sequence number of the newest event when the snapshot was taken.';
comment on column snapshots.watched      is 'Users that the sweep asked about.';
comment on column snapshots.seen         is 'Users that were answered.';
comment on column snapshots.missed_count is 'Users without an answer; their last state stands.';
comment on column snapshots.transitions  is 'Events that the sweep added, of every kind.';
comment on column snapshots.requests     is 'Requests that the sweep sent, repetitions included.';
comment on column snapshots.online       is 'user_no of everybody online: a Roaring bitmap in the portable format.';
comment on column snapshots.known        is 'user_no of everybody online or offline: the same format.';
comment on column snapshots.missed       is 'user_no of everybody missed. A multirange, so that SQL can look into it; misses come in whole batches, which are runs.';

create table relay_cursors (
    app_id         bigint      primary key,
    told_seq       bigint      not null,
    stream_seq     bigint      not null,
    stream_created timestamptz not null,
    recorded_at    timestamptz not null,
    saved_at       timestamptz not null default now()
);
comment on table  relay_cursors                is 'How far the ledger has been told. The stream''s own last message goes before it wherever there is one.';
comment on column relay_cursors.app_id         is 'ZIM AppID.';
comment on column relay_cursors.told_seq       is 'The event that was last acknowledged by the stream.';
comment on column relay_cursors.stream_seq     is 'Its sequence number in the stream.';
comment on column relay_cursors.stream_created is 'Creation time of that stream: a stream made anew counts from 1 again.';
comment on column relay_cursors.recorded_at    is 'recorded_at of the event in transitions.';
comment on column relay_cursors.saved_at       is 'When this row was written.';

create view presence as
select u.app_id, u.user_id, u.status, u.detail, u.since,
       case when u.watched and u.status <> 'unknown'
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
  from user_states u;
comment on view   presence             is 'Who is online, as last told.';
comment on column presence.app_id      is 'ZIM AppID.';
comment on column presence.user_id     is 'ZIM user id.';
comment on column presence.status      is 'online, offline, or unknown: not answered yet, or no longer watched.';
comment on column presence.detail      is 'In which way offline: timeout (heartbeat lost) or no_session (logged out, or no such user); empty otherwise.';
comment on column presence.since       is 'observed_at of the event that brought the status.';
comment on column presence.observed_at is 'The user was seen in this status at this moment or later: of an unchanged user the start of the newest complete sweep that saw it.';
