#!/bin/sh
# Run once, by the image, when the database is made: two roles and their database, as docs/operations.md has them.
set -eu
psql -X -q -v ON_ERROR_STOP=1 -U postgres -d postgres \
	-v owner="$(cat /run/secrets/owner_password)" -v poller="$(cat /run/secrets/poller_password)" <<'SQL'
create role poller_owner login password :'owner';
create role poller login password :'poller';
create database presence owner poller_owner;
revoke all on database presence from public;
grant connect on database presence to poller;
\connect presence
revoke create on schema public from public;
grant create on schema public to poller_owner;
SQL
