-- +goose Up

alter table apps add column pruned_seq   bigint      not null default 0;
alter table apps add column pruned_until timestamptz not null default '-infinity';
comment on column apps.pruned_seq   is 'The newest event that retention has dropped, 0 for none: the rows of transitions begin behind it.';
comment on column apps.pruned_until is 'What was recorded from here on is still there; -infinity while nothing was dropped.';

alter table relay_cursors add column bucket_created timestamptz;
alter table relay_cursors add column keys_purged_to timestamptz not null default '-infinity';
comment on column relay_cursors.bucket_created is 'Creation time of the bucket that was last seen to have everybody whose status is known; null for none.';
comment on column relay_cursors.keys_purged_to is 'The keys of users who were removed before have been purged from the bucket.';

comment on column transitions.kind    is 'online, offline: real transitions. baseline: first answer about a newly watched user. removed: left the watchlist. erased: what stood here was erased on request; the number stands.';
comment on column transitions.user_id is 'ZIM user id; empty where erased.';
comment on column transitions.user_no is 'Number of the user, as in user_states; 0 where erased.';

create table replays (
    app_id     bigint      not null,
    name       text        not null check (name ~ '^[A-Za-z0-9_-]{1,64}$'),
    asked      jsonb       not null,
    first_seq  bigint      not null,
    last_seq   bigint      not null,
    told_seq   bigint      not null,
    told       bigint      not null default 0,
    started_at timestamptz not null default now(),
    moved_at   timestamptz not null default now(),
    ended_at   timestamptz,
    holder     text,
    primary key (app_id, name)
) with (fillfactor = 50);
comment on table  replays            is 'One row a replay by name: what it tells again, and how far it is. One that is in progress holds back what retention would drop.';
comment on column replays.app_id     is 'ZIM AppID.';
comment on column replays.name       is 'As in its subjects; a replay is resumed by it.';
comment on column replays.asked      is 'The choice that it was started with; the same name with another choice is refused.';
comment on column replays.first_seq  is 'The first event of its range.';
comment on column replays.last_seq   is 'The last event of its range, fixed when it was started.';
comment on column replays.told_seq   is 'The event up to which the ledger is no longer needed for it: before first_seq at the start.';
comment on column replays.told       is 'Messages told so far, those of the state included.';
comment on column replays.started_at is 'When it was first started.';
comment on column replays.moved_at   is 'When it last came further.';
comment on column replays.ended_at   is 'When it had told everything; null while in progress.';
comment on column replays.holder     is 'Who tells it at the moment, or was killed over it; null for nobody.';

create table erasures (
    app_id    bigint      not null,
    user_no   integer     not null,
    events    integer     not null,
    erased_at timestamptz not null default now(),
    primary key (app_id, user_no)
);
comment on table  erasures           is 'Numbers of users who were erased on request: snapshots may still hold the number, and nothing says whose it was.';
comment on column erasures.app_id    is 'ZIM AppID.';
comment on column erasures.user_no   is 'The number, which is never given again.';
comment on column erasures.events    is 'How many rows of transitions were erased.';
comment on column erasures.erased_at is 'When.';

create table gaps (
    app_id      bigint      not null,
    first_seq   bigint      not null,
    last_seq    bigint      not null,
    accepted_at timestamptz not null default now(),
    primary key (app_id, first_seq)
);
comment on table  gaps             is 'Events that were told and that transitions will never have: an adoption went on without them.';
comment on column gaps.app_id      is 'ZIM AppID.';
comment on column gaps.first_seq   is 'The first event of the gap.';
comment on column gaps.last_seq    is 'The last event of the gap.';
comment on column gaps.accepted_at is 'When that adoption was made.';
