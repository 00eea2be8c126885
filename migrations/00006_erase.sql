-- +goose Up

alter table erasures add column untold int8multirange not null default '{}';
comment on column erasures.untold is 'Events that were erased here, which the control stream has not been told yet; emptied when it has, so that nothing says which events were of one user.';
