create table vtoc.receipt (
    id uuid primary key,
    source text not null,
    key text not null,
    station_id bigint references vtoc.station (id),
    body_sha256 bytea not null constraint receipt_body_is_sha256 check (length(body_sha256) = 32),
    body_bytes integer not null,
    sights integer not null default 1,
    verdict text not null constraint receipt_verdict_known check (verdict in ('accepted', 'ignored')),
    reason text,
    job_id uuid,
    received_at timestamptz not null default vtoc.clock()
);
comment on table vtoc.receipt is 'one accepted delivery and the job it became';
create index receipt_newest on vtoc.receipt (received_at desc, id desc);
create index receipt_of_station on vtoc.receipt (station_id, received_at desc, id desc);

create table vtoc.receipt_key (
    source text not null,
    key text not null,
    receipt_id uuid not null references vtoc.receipt (id) deferrable initially deferred,
    body_sha256 bytea not null,
    expires_at timestamptz,
    primary key (source, key)
);
comment on table vtoc.receipt_key is 'which delivery a key means now; expires_at only for keys made of a body''s hash';

create table vtoc.audit (
    id uuid primary key,
    station_id bigint not null references vtoc.station (id),
    tool_name text not null,
    status text not null constraint audit_status_known check (status in ('queued', 'running', 'succeeded', 'failed')),
    action_input jsonb not null,
    result jsonb,
    error text,
    channel_slug text,
    initiator_id text,
    job_id uuid,
    created_at timestamptz not null default vtoc.clock(),
    updated_at timestamptz not null default vtoc.clock()
);
comment on table vtoc.audit is 'one agent action; its status only moves forward';
create index audit_newest on vtoc.audit (created_at desc, id desc);
create index audit_of_station on vtoc.audit (station_id, created_at desc, id desc);

do $$
declare
    name text;
begin
    foreach name in array array['receipt', 'audit'] loop
        execute format('alter table vtoc.%I enable row level security', name);
        execute format('alter table vtoc.%I force row level security', name);
        execute format('create policy fleet on vtoc.%I to vtoc_queue using (true) with check (true)', name);
        execute format('create policy own_station on vtoc.%I to vtoc_station using (station_id = (select vtoc.current_station())) with check (station_id = (select vtoc.current_station()))', name);
        execute format('grant select, insert, update on vtoc.%I to vtoc_queue', name);
        execute format('grant select, insert on vtoc.%I to vtoc_station', name);
    end loop;
end
$$;
-- A key is looked up before the station of a delivery is known.
alter table vtoc.receipt_key enable row level security;
alter table vtoc.receipt_key force row level security;
create policy fleet on vtoc.receipt_key to vtoc_queue using (true) with check (true);
grant select, insert, update on vtoc.receipt_key to vtoc_queue;
