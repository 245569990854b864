-- The queue. A job is an immutable wide row (job_body); where it stands is said by one narrow row in job_ready, by its place in
-- a row of job_lease, and at its end by a row in job_finished. docs/queue-design.md says why.
create sequence vtoc.job_id as bigint;
create sequence vtoc.lease_token as bigint;

create table vtoc.worker (
    id uuid primary key,
    name text not null,
    pid integer not null,
    queues text[] not null,
    kinds text[] not null,
    concurrency integer not null,
    isolated boolean not null,
    started_at timestamptz not null default vtoc.clock(),
    seen_at timestamptz not null default vtoc.clock(),
    stopped_at timestamptz,
    died_with integer
);
comment on table vtoc.worker is 'one row a worker process; isolated ones run a single suspect job';
comment on column vtoc.worker.died_with is 'jobs in flight when a sweep first took some of them for lost; those that it had to leave were not alone';

create table vtoc.job_body (
    -- The UTC day of its enqueue since 1970 above 40 bits of a sequence: ids grow with time, and a day's bodies are one range.
    id bigint primary key default (floor(extract(epoch from vtoc.clock()) / 86400)::bigint << 40) | nextval('vtoc.job_id'),
    -- What is further off, drivers can't read and nobody can count with; so with every time below.
    enqueued_at timestamptz not null default vtoc.clock()
        constraint job_enqueued_at_in_reach check (enqueued_at between '0001-01-01 00:00Z' and '9999-12-31 00:00Z'),
    queue text not null,
    kind text not null,
    -- No foreign key: stations are never deleted, and dropping a day would lock their table.
    station_id bigint,
    priority smallint not null default 0,
    attempts_max smallint not null constraint job_attempts_max_positive check (attempts_max > 0),
    dedupe_key text,
    parent_id bigint,
    trace_parent text,
    -- The writer's cap is 256 KiB of text; as jsonb many small values take up to six times that.
    payload jsonb not null constraint job_payload_cap check (pg_column_size(payload) <= 8 * 262144)
) partition by range (id);
comment on table vtoc.job_body is 'what is to be done; never updated; dropped a day of enqueue at a time';

create table vtoc.job_kept (like vtoc.job_body including defaults including constraints, primary key (id));
comment on table vtoc.job_kept is 'bodies of dropped days that are still needed: jobs that live, or whose history is kept longer';

create table vtoc.job_floor (
    single boolean primary key default true check (single),
    id bigint not null default 0,
    kept_checked_on date not null default '1970-01-01'
);
comment on table vtoc.job_floor is 'one row: bodies below this id are read from job_kept, the others from job_body';
comment on column vtoc.job_floor.kept_checked_on is 'the history of earlier days was gone when job_kept was last rid of what nobody needs';
insert into vtoc.job_floor default values;

create view vtoc.job with (security_invoker = true) as
select * from vtoc.job_body where id >= (select id from vtoc.job_floor)
union all
select * from vtoc.job_kept where id < (select id from vtoc.job_floor);
comment on view vtoc.job is 'what is to be done, wherever it is stored';

create table vtoc.job_ready (
    id bigint primary key,
    queue text not null,
    kind text not null,
    station_id bigint,
    priority smallint not null,
    run_at timestamptz not null
        constraint job_ready_run_at_in_reach check (run_at between '0001-01-01 00:00Z' and '9999-12-31 00:00Z'),
    due boolean not null,
    suspect boolean not null default false,
    keyed boolean not null,
    attempt smallint not null default 0,
    attempts_max smallint not null,
    crash_count smallint not null default 0
) with (autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);
comment on table vtoc.job_ready is 'jobs that may run at run_at; due is set when that time has come, so that the claim never steps over later ones';
comment on column vtoc.job_ready.attempt is 'attempts burned so far';
comment on column vtoc.job_ready.suspect is 'its process died with others in flight: it runs alone in a child process';
create index job_ready_claim on vtoc.job_ready (queue, priority desc, run_at, id) where due and not suspect;
create index job_ready_suspect on vtoc.job_ready (queue, run_at) where due and suspect;
create index job_ready_later on vtoc.job_ready (run_at) where not due;

create table vtoc.job_lease (
    token bigint primary key,
    worker_id uuid not null,
    lease_until timestamptz not null,
    started_at timestamptz not null,
    suspect boolean not null default false,
    crash_count smallint not null default 0,
    ids bigint[] not null,
    attempts smallint[] not null
) with (autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0,
    -- A batch of 500 stays in its row: neither compressed nor put aside for the moment that it lives.
    toast_tuple_target = 8160);
comment on table vtoc.job_lease is 'one row a claimed batch: lease, fence and the durable attempts of its jobs; its token fences every change to them';
comment on column vtoc.job_lease.suspect is 'then it holds one job, whose crash_count stands here; of other jobs it is 0';
comment on column vtoc.job_lease.attempts is 'the attempt under way of each job, durable from the claim on';

create table vtoc.job_settled (
    token bigint not null,
    id bigint not null,
    primary key (token, id)
) with (autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);
comment on table vtoc.job_settled is 'jobs that left their lease before the rest of its batch did; uncommitted it is the lock of a database effect';

create view vtoc.job_running with (security_invoker = true) as
select u.id, l.token, u.attempt, l.worker_id, l.started_at, l.lease_until, l.suspect, l.crash_count
from vtoc.job_lease l
cross join lateral unnest(l.ids, l.attempts) as u (id, attempt)
where not exists (select from vtoc.job_settled s where s.token = l.token and s.id = u.id);
comment on view vtoc.job_running is 'jobs under a lease; as many as the fleet has slots';

create table vtoc.job_finished (
    expires_at timestamptz not null,
    id bigint not null,
    state text not null constraint job_finished_state_terminal check (state in ('done', 'dead', 'cancelled')),
    queue text not null,
    kind text not null,
    station_id bigint,
    attempt smallint not null,
    started_at timestamptz,
    finished_at timestamptz not null,
    worker_id uuid,
    output jsonb,
    error text,
    primary key (id, expires_at)
) partition by range (expires_at);
comment on table vtoc.job_finished is 'how jobs ended; dropped a day at a time once expired';
-- Ascending, so that what is done is added at the end, which is quick; it is read backwards.
create index job_finished_newest on vtoc.job_finished (state, finished_at, id);

create table vtoc.job_attempt (
    job_id bigint not null,
    token bigint not null,
    attempt smallint not null,
    station_id bigint,
    worker_id uuid,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    outcome text not null constraint job_attempt_outcome_known check (outcome in
        ('done', 'retry', 'snooze', 'cancelled', 'dead', 'interrupted', 'timed_out', 'panicked', 'crashed', 'given_up')),
    error text,
    counted boolean not null default false,
    primary key (job_id, token)
);
comment on column vtoc.job_attempt.counted is 'whether it raised the job''s crash count';
comment on table vtoc.job_attempt is 'every attempt that ended, except the only attempt of a job that was done at once: its history row says the same';

create table vtoc.job_unique (
    station_id bigint not null,
    kind text not null,
    key text not null,
    job_id bigint not null,
    enqueued_at timestamptz not null,
    keep_for interval constraint job_unique_keep_for_in_reach check (keep_for between interval '0' and interval '36525 days'),
    expires_at timestamptz,
    primary key (station_id, kind, key)
);
comment on table vtoc.job_unique is 'dedupe keys of live jobs, and of finished ones until expires_at; station 0 is the fleet';
comment on column vtoc.job_unique.enqueued_at is 'the job''s, so that its id can be told before its row is visible and after it is pruned';
create index job_unique_job on vtoc.job_unique (job_id);
create index job_unique_expiry on vtoc.job_unique (expires_at) where expires_at is not null;

create table vtoc.job_cancel (
    job_id bigint primary key,
    reason text not null,
    requested_at timestamptz not null default vtoc.clock()
);
comment on table vtoc.job_cancel is 'running jobs that somebody asked to stop; whichever worker has the job drops its future';

create table vtoc.effect (
    job_id bigint not null,
    name text not null,
    station_id bigint,
    idempotency_key text not null,
    method text not null,
    host text not null,
    status smallint not null,
    elapsed_ms integer not null,
    recorded_at timestamptz not null default vtoc.clock(),
    primary key (job_id, name)
);
comment on table vtoc.effect is 'outbound side effects that a far side acknowledged, one row a job and effect name';
