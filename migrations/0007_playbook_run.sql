create table vtoc.playbook_run (
    id uuid primary key,
    station_id bigint not null references vtoc.station (id),
    job_id uuid not null constraint playbook_run_job_unique unique,
    playbook text not null,
    definition jsonb not null,
    parameters jsonb not null,
    status text not null constraint playbook_run_status_known check (status in ('running', 'succeeded', 'failed')),
    error text,
    started_at timestamptz not null default vtoc.clock(),
    finished_at timestamptz
);
comment on table vtoc.playbook_run is 'one run with the playbook as it was when the run began';
create index playbook_run_newest on vtoc.playbook_run (started_at desc, id desc);
create index playbook_run_of_station on vtoc.playbook_run (station_id, started_at desc, id desc);

create table vtoc.playbook_step (
    run_id uuid not null references vtoc.playbook_run (id),
    position smallint not null,
    step text not null,
    station_id bigint not null references vtoc.station (id),
    status text not null constraint playbook_step_status_known check (status in ('done', 'skipped')),
    result jsonb not null,
    finished_at timestamptz not null default vtoc.clock(),
    primary key (run_id, step)
);
comment on table vtoc.playbook_step is 'results of finished steps: a run goes on behind the last of them';

create table vtoc.chat_channel (
    id bigint generated always as identity primary key,
    station_id bigint references vtoc.station (id),
    slug text not null constraint chat_channel_slug_unique unique
        constraint chat_channel_slug_length check (length(slug) between 1 and 128),
    created_at timestamptz not null default vtoc.clock()
);
comment on table vtoc.chat_channel is 'channels of the built-in chat';

create table vtoc.chat_message (
    id uuid primary key,
    position bigint generated always as identity,
    channel_id bigint not null references vtoc.chat_channel (id),
    station_id bigint references vtoc.station (id),
    thread text,
    body text not null constraint chat_message_body_length check (length(body) between 1 and 40000),
    blocks jsonb,
    metadata jsonb not null,
    idempotency_key text constraint chat_message_idempotency_unique unique,
    request_sha256 bytea not null,
    created_at timestamptz not null default vtoc.clock()
);
comment on table vtoc.chat_message is 'messages of the built-in chat; a repeated idempotency key is the same message';
create index chat_message_newest on vtoc.chat_message (channel_id, position desc);

do $$
declare
    name text;
begin
    foreach name in array array['playbook_run', 'playbook_step', 'chat_channel', 'chat_message'] loop
        execute format('alter table vtoc.%I enable row level security', name);
        execute format('alter table vtoc.%I force row level security', name);
        execute format('create policy fleet on vtoc.%I to vtoc_queue using (true) with check (true)', name);
        execute format('create policy own_station on vtoc.%I to vtoc_station using (station_id = (select vtoc.current_station())) with check (station_id = (select vtoc.current_station()))', name);
        execute format('grant select, insert, update on vtoc.%I to vtoc_queue', name);
        execute format('grant select, insert on vtoc.%I to vtoc_station', name);
    end loop;
end
$$;
