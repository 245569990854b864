create table vtoc.station (
    id bigint generated always as identity primary key,
    slug text not null constraint station_slug_unique unique
        constraint station_slug_form check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    callsign text not null constraint station_callsign_length check (length(callsign) between 1 and 64),
    role text not null constraint station_role_known check (role in ('ops', 'intel', 'logistics')),
    time_zone text not null default 'UTC',
    default_channel text not null,
    created_at timestamptz not null default vtoc.clock()
);
comment on table vtoc.station is 'one operations centre; its data lives in the schema named like its role';

-- People with direct SQL access have a login of their own; for them the station comes from the login and from nothing else.
create table vtoc.station_login (
    login name primary key,
    station_id bigint not null references vtoc.station (id)
);
comment on table vtoc.station_login is 'database logins that belong to one station';

create function vtoc.current_station() returns bigint
language sql stable parallel safe
-- Understood once, here: as text it would be read under the caller's search path, where = may be anything.
return coalesce(
    (select station_id from vtoc.station_login where login = session_user),
    nullif(current_setting('vtoc.station', true), '')::bigint
);
comment on function vtoc.current_station() is 'the station of this transaction, or null: then a policy shows no rows';
grant execute on function vtoc.current_station() to vtoc_queue, vtoc_station, vtoc_ops, vtoc_intel, vtoc_logistics;
grant select on vtoc.station_login to vtoc_queue, vtoc_station, vtoc_ops, vtoc_intel, vtoc_logistics;
-- Nobody sees more of it than the function needs; whoever owns the table keeps it.
alter table vtoc.station_login enable row level security;
alter table vtoc.station_login force row level security;
create policy own_login on vtoc.station_login for select to vtoc_queue, vtoc_station, vtoc_ops, vtoc_intel, vtoc_logistics
    using (login = session_user);
create policy owner on vtoc.station_login to current_user using (true) with check (true);

alter table vtoc.station enable row level security;
alter table vtoc.station force row level security;
create policy fleet on vtoc.station to vtoc_queue using (true) with check (true);
create policy own_station on vtoc.station for select to vtoc_station, vtoc_ops, vtoc_intel, vtoc_logistics
    using (id = (select vtoc.current_station()));
grant select, insert, update on vtoc.station to vtoc_queue;
grant select on vtoc.station to vtoc_station, vtoc_ops, vtoc_intel, vtoc_logistics;

create table vtoc.token (
    id uuid primary key,
    name text not null constraint token_name_unique unique,
    hash bytea not null constraint token_hash_unique unique
        constraint token_hash_is_sha256 check (length(hash) = 32),
    station_id bigint references vtoc.station (id),
    scopes text[] not null
        constraint token_scopes_known check (scopes <@ array['ingest', 'read', 'operate', 'admin'] and cardinality(scopes) > 0),
    created_at timestamptz not null default vtoc.clock(),
    revoked_at timestamptz
);
comment on table vtoc.token is 'bearer tokens, as SHA-256; no station means the whole fleet';
alter table vtoc.token enable row level security;
alter table vtoc.token force row level security;
create policy fleet on vtoc.token to vtoc_queue using (true) with check (true);
grant select, insert, update on vtoc.token to vtoc_queue;
