-- +goose Up

create table replicas (
    owner         text        primary key,
    apps          bigint[]    not null,
    expires_at    timestamptz not null,
    session_pid   integer,
    session_start timestamptz
) with (fillfactor = 50);
comment on table  replicas               is 'The daemons that share the apps among them. A row counts until it expires or the session that it names is gone; long dead ones are deleted by others.';
comment on column replicas.owner         is 'The daemon''s name, the same as in apps.owner where it holds a lease.';
comment on column replicas.apps          is 'AppIDs that the daemon is configured for.';
comment on column replicas.expires_at    is 'When the daemon no longer counts by this database''s clock, unless it renews the row.';
comment on column replicas.session_pid   is 'Backend pid of the connection on which the daemon renews the row; null when that is not direct (a pooler).';
comment on column replicas.session_start is 'Start of that backend: a pid alone may be given again.';
