-- Schedules: jobs that are enqueued again and again. Every worker ticks; the row's lock and the key of each tick's job make two
-- ticks at once one job, each for itself.
create table vtoc.schedule (
    name text primary key constraint schedule_name_form check (name ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
    station_id bigint references vtoc.station (id),
    expression text not null constraint schedule_expression_length check (length(expression) between 1 and 500),
    time_zone text not null,
    -- What is further off, drivers can't read and nobody can count with; so with the other times.
    anchor_at timestamptz not null
        constraint schedule_anchor_at_in_reach check (anchor_at between '0001-01-01 00:00Z' and '9999-12-31 00:00Z'),
    jitter interval not null default '0'
        constraint schedule_jitter_in_reach check (jitter between interval '0' and interval '24 hours'),
    missed text not null default 'once' constraint schedule_missed_known check (missed ~ '^(skip|once|all:[0-9]{1,3})$'),
    queue text not null,
    kind text not null,
    priority smallint not null default 0,
    attempts_max smallint not null constraint schedule_attempts_max_positive check (attempts_max > 0),
    -- The writer's cap is 64 KiB of text; see job_payload_cap.
    payload jsonb not null constraint schedule_payload_cap check (pg_column_size(payload) <= 8 * 65536),
    enabled boolean not null default true,
    next_tick_at timestamptz
        constraint schedule_next_tick_at_in_reach check (next_tick_at between '0001-01-01 00:00Z' and '9999-12-31 00:00Z'),
    next_run_at timestamptz
        constraint schedule_next_run_at_in_reach check (next_run_at between '0001-01-01 00:00Z' and '9999-12-31 00:00Z'),
    ended text,
    last_tick_at timestamptz,
    last_job_id uuid,
    created_at timestamptz not null default vtoc.clock(),
    updated_at timestamptz not null default vtoc.clock(),
    constraint schedule_next_is_whole check ((next_tick_at is null) = (next_run_at is null)),
    constraint schedule_next_while_on check ((next_run_at is not null) = (enabled and ended is null)),
    constraint schedule_never_early check (next_run_at >= next_tick_at)
);
comment on table vtoc.schedule is 'what is enqueued when; every worker enqueues what is due and moves next_run_at in one transaction';
comment on column vtoc.schedule.expression is 'now, an interval like 15m, or five to seven cron fields';
comment on column vtoc.schedule.anchor_at is 'when the expression was given: intervals count from it';
comment on column vtoc.schedule.jitter is 'a tick''s job is enqueued up to so much later, always the same for the same tick';
comment on column vtoc.schedule.missed is 'what becomes of ticks that nobody was there for: skip, once, or all up to so many';
comment on column vtoc.schedule.next_tick_at is 'the tick as the expression says it; next_run_at is when its job is enqueued; both null while paused and after the end';
comment on column vtoc.schedule.ended is 'why it never ticks again';
comment on column vtoc.schedule.last_job_id is 'the job of the last tick or trigger';
create index schedule_next on vtoc.schedule (next_run_at) where next_run_at is not null;

alter table vtoc.schedule enable row level security;
alter table vtoc.schedule force row level security;
create policy fleet on vtoc.schedule to vtoc_queue using (true) with check (true);
create policy own_station on vtoc.schedule to vtoc_station
    using (station_id = (select vtoc.current_station())) with check (station_id = (select vtoc.current_station()));
grant select, insert, update, delete on vtoc.schedule to vtoc_queue;
grant select on vtoc.schedule to vtoc_station;
